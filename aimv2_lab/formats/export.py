"""Write an encoder as a directory that transformers, timm or Apple's code can be given."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Literal

from safetensors import SafetensorError
from safetensors.torch import save_file
from torch import Tensor

from aimv2_lab.data.files import WRITING
from aimv2_lab.data.preprocessing import Preprocessing
from aimv2_lab.data.tokenizer import CaptionTokenizer
from aimv2_lab.formats.apple import apple_files
from aimv2_lab.formats.folder import MODEL_FILE
from aimv2_lab.formats.huggingface import transformers_files
from aimv2_lab.formats.lit import LIT_NAMES, lit_config, towers_to_theirs
from aimv2_lab.formats.names import APPLE, TIMM, TRANSFORMERS, to_theirs
from aimv2_lab.formats.processor import PROCESSOR_FILE, processor_config
from aimv2_lab.formats.timm_directory import timm_files
from aimv2_lab.model.encoder import VisionEncoder
from aimv2_lab.model.two_towers import TwoTowers
from aimv2_lab.recipes import EncoderRecipe

Format = Literal["transformers", "timm", "apple"]
LitFormat = Literal["transformers", "apple"]
_WRITERS = {
    "transformers": (TRANSFORMERS, transformers_files),
    "timm": (TIMM, timm_files),
    "apple": (APPLE, apple_files),
}


def export_towers(
    towers: TwoTowers, tokenizer: CaptionTokenizer, preprocessing: Preprocessing, to: LitFormat, folder: str | Path
) -> None:
    """Write both towers in the released LiT layout, with the tokenizer and preprocessing, as `export_encoder` does.

    The tokenizer's files add begin and end tokens by themselves, as `AutoTokenizer` then does. Raises what
    `export_encoder` and `lit_config` do.
    """
    tokenizer.check_vocabulary(towers.recipe.vocabulary, "text.vocabulary")
    files = {
        "config.json": lit_config(towers, tokenizer.end_id, to == "transformers"),
        PROCESSOR_FILE: processor_config(preprocessing),
    }
    weights = towers_to_theirs(towers.state_dict(), LIT_NAMES[to])
    _write(Path(folder), weights, files, tokenizer.ending)


def export_encoder(encoder: VisionEncoder, preprocessing: Preprocessing, to: Format, folder: str | Path) -> None:
    """Write weights, configuration and preprocessing into a folder that is absent or empty: whole, or not at all.

    Raises FileExistsError for a folder that holds anything, ValueError for what the format has no place for, such as
    AIM v1's trunk, and OSError where it cannot be written.
    """
    if not isinstance(encoder.recipe, EncoderRecipe):
        raise ValueError(f"{to} has no model for AIM v1's trunk, only for AIMv2's encoder")
    names, files_of = _WRITERS[to]
    files = files_of(encoder, preprocessing)  # first: it says what the format has no place for
    _write(Path(folder), to_theirs(encoder.state_dict(), names), files)


def _write(
    folder: Path,
    weights: Mapping[str, Tensor],
    files: Mapping[str, Mapping[str, Any]],
    more: Callable[[Path], None] = lambda _: None,
) -> None:
    folder = folder.resolve()
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise FileExistsError(f"{folder} is not empty: name another folder, or clear this one first")
    writing = folder.with_name(f"{WRITING}{folder.name}")
    shutil.rmtree(writing, ignore_errors=True)
    writing.mkdir(parents=True)
    try:
        save_file({name: x.cpu() for name, x in weights.items()}, writing / MODEL_FILE, metadata={"format": "pt"})
        more(writing)
        for name, content in files.items():
            (writing / name).write_text(json.dumps(content, indent=2) + "\n")
        os.replace(writing, folder)
    except (OSError, SafetensorError) as error:  # safetensors has an error of its own for a full disk
        shutil.rmtree(writing, ignore_errors=True)
        raise OSError(f"could not write {folder}: {error}") from error
