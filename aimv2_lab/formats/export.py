"""Write an encoder as a directory that transformers, timm or Apple's code can be given."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Literal

from safetensors import SafetensorError
from safetensors.torch import save_file

from aimv2_lab.data.files import WRITING
from aimv2_lab.data.preprocessing import Preprocessing
from aimv2_lab.formats.apple import apple_files
from aimv2_lab.formats.folder import MODEL_FILE
from aimv2_lab.formats.huggingface import transformers_files
from aimv2_lab.formats.names import APPLE, TIMM, TRANSFORMERS, to_theirs
from aimv2_lab.formats.timm_directory import timm_files
from aimv2_lab.model.encoder import VisionEncoder
from aimv2_lab.recipes import EncoderRecipe

Format = Literal["transformers", "timm", "apple"]
_WRITERS = {
    "transformers": (TRANSFORMERS, transformers_files),
    "timm": (TIMM, timm_files),
    "apple": (APPLE, apple_files),
}


def export_encoder(encoder: VisionEncoder, preprocessing: Preprocessing, to: Format, folder: str | Path) -> None:
    """Write weights, configuration and preprocessing into a folder that is absent or empty: whole, or not at all.

    Raises FileExistsError for a folder that holds anything, ValueError for what the format has no place for, such as
    AIM v1's trunk, and OSError where it cannot be written.
    """
    folder = Path(folder)
    if not isinstance(encoder.recipe, EncoderRecipe):
        raise ValueError(f"{to} has no model for AIM v1's trunk, only for AIMv2's encoder")
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise FileExistsError(f"{folder} is not empty: name another folder, or clear this one first")
    names, files_of = _WRITERS[to]
    files = files_of(encoder, preprocessing)
    writing = folder.with_name(f"{WRITING}{folder.name}")
    shutil.rmtree(writing, ignore_errors=True)
    writing.mkdir(parents=True)
    try:
        weights = {name: tensor.cpu() for name, tensor in to_theirs(encoder.state_dict(), names).items()}
        save_file(weights, writing / MODEL_FILE, metadata={"format": "pt"})
        for name, content in files.items():
            (writing / name).write_text(json.dumps(content, indent=2) + "\n")
        os.replace(writing, folder)
    except (OSError, SafetensorError) as error:  # safetensors has an error of its own for a full disk
        shutil.rmtree(writing, ignore_errors=True)
        raise OSError(f"could not write {folder}: {error}") from error
