"""Damage planted on purpose in exported pairs, so that tests and lessons know which of them are bad."""

from __future__ import annotations

import tarfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path

import numpy as np

from aimv2_lab.data.writers import Sample

_START_OF_SCAN = b"\xff\xda"  # the JPEG marker before the compressed data
_LONG_REPEATS = 400  # of a caption of about ten words: more than any text limit in use
# Valid Unicode that is rare in captions: a byte-order mark, right-to-left text and its override, marks that combine,
# a joined emoji, letters beyond the basic plane, full width, a zero-width space and a control character.
_ODD = (
    "\ufeff\u202e\u05d0\u05d1\u202c Z\u0351\u0343\u0300 "
    "\U0001f468\u200d\U0001f469\u200d\U0001f467 \U0001d4d0 \uff21\u200b\x07"
)


@dataclass(frozen=True)
class Damage:
    """The share of pairs with each kind of damage; a pair has one kind at most. Our own construction.

    Raises ValueError for shares that are negative or add up to more than 1.
    """

    corrupt_image: float = 0.0
    """The picture's bytes after the JPEG mark are noise."""
    zero_bytes: float = 0.0
    """The picture is an empty file."""
    truncated_image: float = 0.0
    """Half of the JPEG's compressed data is missing."""
    duplicate_key: float = 0.0
    """The key is that of another pair of the same shard."""
    duplicate_picture: float = 0.0
    """Picture and texts are those of another pair; key, uid and url are the pair's own."""
    mismatched_caption: float = 0.0
    """Both texts are those of another scene (by chance they may be true of this one too)."""
    long_caption: float = 0.0
    """Both texts are repeated to tens of thousands of characters."""
    odd_caption: float = 0.0
    """Both texts stand among valid but unusual Unicode."""
    empty_caption: float = 0.0
    """Both texts are empty."""
    failed_download: float = 0.0
    """A row in the Parquet file beside the tar, without a member in the tar; layout webdataset only."""
    shards: tuple[int, ...] = ()
    """The shards that the shares above hold in, by number; none: in all of them."""
    truncated_shards: tuple[int, ...] = ()
    """Shards that are cut off, by number, -1 being the last; layout webdataset only."""

    def __post_init__(self) -> None:
        rates = self.rates
        if min(rates.values()) < 0 or sum(rates.values()) > 1 + 1e-9:
            raise ValueError(f"shares of damage {rates} must be 0 or more and add up to 1 at most")

    @property
    def rates(self) -> dict[str, float]:
        """The share of every kind that is planted in single pairs."""
        shares = [item.name for item in fields(self) if item.name not in ("shards", "truncated_shards")]
        return {name: getattr(self, name) for name in shares}

    def kind(self, draw: np.random.Generator) -> str:
        """The kind of damage that one pair gets; empty for none."""
        left = float(draw.random())
        for name, rate in self.rates.items():
            left -= rate
            if left < 0:
                return name
        return ""


def _noise(jpeg: bytes, draw: np.random.Generator) -> bytes:
    return jpeg[:2] + draw.bytes(len(jpeg) - 2)


def _copy(own: Sample, other: Sample) -> Sample:
    names = {name: own.about[name] for name in ("uid", "url")}
    return replace(other, key=own.key, about=other.about | names)


def _with_texts_of(own: Sample, other: Sample) -> Sample:
    texts = {name: other.about[name] for name in ("alt", "caption_facts", "alt_facts")}
    return replace(own, caption=other.caption, about=own.about | texts)


_IMAGE_DAMAGE: Mapping[str, Callable[[bytes, np.random.Generator], bytes | None]] = {
    "corrupt_image": _noise,
    "zero_bytes": lambda jpeg, draw: b"",
    "truncated_image": lambda jpeg, draw: jpeg[: (jpeg.rindex(_START_OF_SCAN) + len(jpeg)) // 2],
    "failed_download": lambda jpeg, draw: None,
}
_TEXT_DAMAGE: Mapping[str, Callable[[str], str]] = {
    "long_caption": lambda text: " ".join([text] * _LONG_REPEATS),
    "odd_caption": lambda text: f"{_ODD} {text} {_ODD}",
    "empty_caption": lambda text: "",
}
COPYING: Mapping[str, Callable[[Sample, Sample], Sample]] = {
    "duplicate_key": lambda own, other: replace(own, key=other.key),
    "duplicate_picture": _copy,
    "mismatched_caption": _with_texts_of,
}


def damaged(kind: str, sample: Sample, draw: np.random.Generator, other: Sample | None) -> Sample:
    """The sample with one kind of damage; for kinds in `COPYING`, `other` is the pair that it is like."""
    if kind in COPYING:
        assert other is not None
        return COPYING[kind](sample, other)
    if kind in _TEXT_DAMAGE:
        change = _TEXT_DAMAGE[kind]
        return replace(
            sample, caption=change(sample.caption), about=sample.about | {"alt": change(sample.about["alt"])}
        )
    assert sample.jpeg is not None
    return replace(sample, jpeg=_IMAGE_DAMAGE[kind](sample.jpeg, draw))


def cut_shard(path: Path) -> list[str]:
    """Cut a tar off inside its middle member; returns the keys that are no longer whole."""
    with tarfile.open(path) as tar:
        members = tar.getmembers()
    middle = members[len(members) // 2]
    cut = middle.offset_data + middle.size // 2
    with path.open("r+b") as file:
        file.truncate(cut)
    lost = (member.name.partition(".")[0] for member in members if member.offset_data + member.size > cut)
    return list(dict.fromkeys(lost))
