"""Write a trained encoder for other libraries:

    python -m aimv2_lab.launch.export --to transformers runs/small encoders/small

The first place is what `aimv2_lab.load_encoder` reads (a run folder or checkpoint, a directory of transformers, timm or
Apple's names, a safetensors file, a name on the hub), so that any format becomes any other. Only the encoder is
written, with its pooling head if it has one; with `--towers` the text tower too, as the released LiT model has it.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import tyro

from aimv2_lab.data.preprocessing import Preprocessing
from aimv2_lab.data.tokenizer import load_tokenizer
from aimv2_lab.formats.export import Format, export_encoder, export_towers
from aimv2_lab.formats.load import load_encoder, load_preprocessing, load_towers, towers_tokenizer
from aimv2_lab.launch.command import end_plainly
from aimv2_lab.recipes.data import CLIP_MEAN, CLIP_STD

LOADED_BY: dict[Format, str] = {
    "transformers": "transformers.AutoModel.from_pretrained({folder!r})",
    "timm": "timm.create_model({local!r}, pretrained=True)",
    "apple": "aimv2_lab.load_encoder({folder!r})",
}


@dataclass(frozen=True)
class ExportOptions:
    """An encoder, a format and a folder."""

    checkpoint: tyro.conf.Positional[str]
    """What `aimv2_lab.load_encoder` reads."""
    folder: tyro.conf.Positional[Path]
    """Where the files go; it must be empty or absent."""
    to: Format
    """Whose names and configuration are written."""
    revision: str | None = None
    """Of a name on the hub: a branch, tag or commit."""
    cache_dir: Path | None = None
    """The hub's cache, if not the usual one."""
    image_size: int | None = None
    """Pixels a side that a learned position table is resized to."""
    head: bool = True
    """Write the pooling head where there is one; timm has no place for it."""
    towers: bool = False
    """Both towers of a LiT run, or of a directory of that layout, and the tokenizer."""
    tokenizer: str = ""
    """Of both towers. Default: the run's own, or the directory's."""


def run_export(arguments: Sequence[str]) -> None:
    """Export what the arguments ask for, and say what was written and how it is loaded."""
    options = tyro.cli(ExportOptions, args=arguments, prog="python -m aimv2_lab.launch.export")
    if options.towers:
        print(_export_towers(options))
        return
    encoder = load_encoder(options.checkpoint, options.revision, options.cache_dir, options.image_size)
    encoder.head = encoder.head if options.head else None
    preprocessing, source = _seen(options, encoder.recipe.image_size)
    export_encoder(encoder, preprocessing, options.to, options.folder)
    sizes, folder = encoder.recipe, str(options.folder)
    head = "with" if encoder.head is not None else "without"
    print(f"{folder}: {sizes.depth} blocks of width {sizes.width}, {head} pooling head, float32, for {options.to}")
    print(f"pictures: {_described(preprocessing)} ({source})")
    print(f"load it by {LOADED_BY[options.to].format(folder=folder, local=f'local-dir:{folder}')}")


def _seen(options: ExportOptions, size: int) -> tuple[Preprocessing, str]:
    """What pictures go through, and who says so."""
    try:
        where = (options.checkpoint, options.revision, options.cache_dir, options.image_size)
        return load_preprocessing(*where), "what the encoder came with"
    except FileNotFoundError:  # a file that lies alone
        return Preprocessing(CLIP_MEAN, CLIP_STD, size, size), f"CLIP's: {options.checkpoint} says none"


def _export_towers(options: ExportOptions) -> str:
    """Write both towers, and say how they are loaded."""
    if options.to == "timm" or options.image_size is not None or not options.head:
        raise ValueError("two towers are written --to transformers or --to apple, with their head and positions")
    where = (options.checkpoint, options.revision, options.cache_dir)
    towers = load_towers(*where)
    preprocessing, _ = _seen(options, towers.recipe.encoder.image_size)
    own = options.tokenizer
    tokenizer = load_tokenizer(own).with_begin() if own else towers_tokenizer(*where)
    export_towers(towers, tokenizer, preprocessing, options.to, options.folder)
    by = "transformers.AutoModel.from_pretrained({!r}, attn_implementation='eager') and attention masks"
    by = by if options.to == "transformers" else "aimv2_lab.formats.load.load_towers({!r})"
    written = f"{options.folder}: both towers and their tokenizer, for {options.to}"
    return f"{written}\nload it by {by.format(str(options.folder))}"


def _described(preprocessing: Preprocessing) -> str:
    side, crop = preprocessing.shortest_side, preprocessing.crop
    resized = "not resized" if side is None else f"shortest side {side} pixels"
    cropped = "not cropped" if crop is None else f"the middle {crop} x {crop}"
    mean, std = (", ".join(f"{value:.4f}" for value in values) for values in (preprocessing.mean, preprocessing.std))
    return f"{resized}, {cropped}, mean {mean}, deviation {std}"


def main() -> None:
    """Run the command line."""
    end_plainly(lambda: run_export(sys.argv[1:]), "nothing was written; give the command again")


if __name__ == "__main__":
    main()
