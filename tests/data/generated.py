"""Small generated pictures, and the layouts the tests write them in."""

import io
import json
import tarfile
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, cast

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from aimv2_lab.data.damage import DamagedCaption
from aimv2_lab.data.records import Pair
from aimv2_lab.data.tokenizer import NoTokens

Members = Mapping[str, bytes]


def picture(number: int, width: int = 24, height: int = 24) -> Image.Image:
    """Smooth colours that differ from number to number."""
    across, down = np.meshgrid(np.linspace(0, 1, width), np.linspace(0, 1, height))
    colour = np.random.default_rng(number).uniform(0, 255, (3, 3))
    pixels = across[..., None] * colour[0] + down[..., None] * colour[1] + (1 - across[..., None]) * colour[2]
    return Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8))


def encoded(image: Image.Image, form: str = "PNG", **options: Any) -> bytes:
    """The picture as a file."""
    file = io.BytesIO()
    image.save(file, form, **options)
    return file.getvalue()


def sample(number: int) -> dict[str, bytes]:
    """The members of one good WebDataset sample."""
    texts = {"txt": f"caption {number}\n".encode(), "json": json.dumps({"alt": f"alt text {number}"}).encode()}
    return {"png": encoded(picture(number))} | texts


def write_tar(path: Path, samples: Mapping[str, Members], compression: Literal["", "gz", "xz"] = "") -> Path:
    """A shard with the samples' members in order, as img2dataset writes them."""
    path.parent.mkdir(parents=True, exist_ok=True)
    modes: dict[str, Literal["w:", "w:gz", "w:xz"]] = {"": "w:", "gz": "w:gz", "xz": "w:xz"}
    with tarfile.open(path, modes[compression]) as archive:
        for key, members in samples.items():
            for extension, content in members.items():
                info = tarfile.TarInfo(f"{key}.{extension}")
                info.size = len(content)
                archive.addfile(info, io.BytesIO(content))
    return path


def write_shard(path: Path, numbers: Sequence[int]) -> Path:
    """A shard of good samples."""
    compression = cast(Literal["", "gz", "xz"], path.name.rpartition(".tar")[2].removeprefix("."))
    return write_tar(path, {f"{number:08d}": sample(number) for number in numbers}, compression)


def write_image_folder(folder: Path, lines: Sequence[Mapping[str, object]]) -> Path:
    """metadata.jsonl with the lines given, and a picture for every file name in them."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "metadata.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    for number, line in enumerate(lines):
        if isinstance(name := line.get("file_name"), str):
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes(encoded(picture(number)))
    return folder


class ListSource:
    """Pairs in memory. A pair in `damaged` has a picture of zero bytes, in `mute` no caption, in `dotted` only dots.

    With `synthetic` every pair also has two synthetic captions.
    """

    fingerprint = "0"

    def __init__(
        self,
        length: int,
        damaged: Iterable[int] = (),
        mute: Iterable[int] = (),
        dotted: Iterable[int] = (),
        name: str = "list",
        shards: Sequence[int] = (),
        synthetic: bool = False,
    ) -> None:
        self.length, self.damaged, self.mute, self.dotted = length, set(damaged), set(mute), set(dotted)
        self.name, self.shards, self.synthetic = name, tuple(shards) or (length,), synthetic

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, index: int) -> Pair:
        if index in self.mute:
            raise DamagedCaption(f"pair-{index}", "no caption: txt empty or absent")
        image = b"" if index in self.damaged else picture(index)
        texts = tuple(f"{text} {index}" for text in ("first", "second", "third one"))
        written = tuple(f"{text} of {index}" for text in ("one view", "another view")) if self.synthetic else ()
        return Pair(f"pair-{index}", image, ("...",) if index in self.dotted else texts, written)


class Bytes:
    """A tokenizer whose tokens are a text's bytes, padded with 0; a text of dots alone has none."""

    pad_id = 0

    def encode(self, texts: Sequence[str], max_tokens: int) -> tuple[Tensor, Tensor]:
        if any(not text.strip(".") for text in texts):
            raise NoTokens("the text has no tokens")
        tokens = [torch.tensor(list(text.encode()[:max_tokens])) for text in texts]
        padded = torch.nn.utils.rnn.pad_sequence(tokens, batch_first=True)
        lengths = torch.tensor([len(text) for text in tokens])
        return padded, torch.arange(padded.shape[1]) < lengths[:, None]
