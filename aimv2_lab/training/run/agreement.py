"""What all ranks of a run must have in common, as short texts that can be compared."""

from __future__ import annotations

import json
from hashlib import blake2b
from importlib.metadata import version
from pathlib import Path
from typing import Any

import aimv2_lab
from aimv2_lab.data.classes import ClassTokenizer
from aimv2_lab.data.tokenizer import CaptionTokenizer
from aimv2_lab.recipes import AnyRecipe


def in_common(
    recipe: AnyRecipe, data: Any, tokenizer: CaptionTokenizer | ClassTokenizer | None, checkpoint: Path | None
) -> dict[str, str]:
    """What to compare between ranks, by what it is called; classes are in the recipe."""
    users = recipe.engine.deepspeed
    return {
        "the code of aimv2_lab": code_digest(),
        "the version of torch": version("torch"),
        "the version of deepspeed": version("deepspeed"),
        "the file named by engine.deepspeed": _digest(Path(users).read_bytes()) if users else "none",
        "the recipe": _digest(recipe.to_json().encode()),
        "the data": _digest(json.dumps(data, sort_keys=True).encode()),
        "the tokenizer": _digest(tokenizer.content()) if isinstance(tokenizer, CaptionTokenizer) else "none",
        "the newest checkpoint": str(checkpoint),
    }


def code_digest() -> str:
    """Hex digest of the package's source files, by name and content."""
    folder = Path(aimv2_lab.__file__).parent
    files = sorted(folder.rglob("*.py"))
    return _digest(b"\0".join(str(file.relative_to(folder)).encode() + b"\0" + file.read_bytes() for file in files))


def _digest(content: bytes) -> str:
    return blake2b(content, digest_size=8).hexdigest()
