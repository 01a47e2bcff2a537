"""The trained model that the notebooks look into: the demo's, committed in half precision.

    python -m aimv2_lab.lessons.trained runs/demo        stores a run's model for the notebooks

A reader who has run `make demo` can give the notebooks runs/demo in its place.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import NamedTuple

import tyro
from safetensors.torch import load_file, save_file

from aimv2_lab.data.tokenizer import CaptionTokenizer, load_tokenizer
from aimv2_lab.formats.folder import MODEL_FILE, RECIPE_FILE, TOKENIZER, find_model, load_model
from aimv2_lab.lessons.notebooks import NOTEBOOKS
from aimv2_lab.model.aimv2 import AIMv2
from aimv2_lab.training.run.folder import read_metrics

TRAINED = NOTEBOOKS / "trained"
LOSSES_FILE = "losses.json"


class Trained(NamedTuple):
    """A model in evaluation mode and float32, its tokenizer, and its last held-out losses."""

    model: AIMv2
    tokenizer: CaptionTokenizer
    losses: dict[str, float]


def load_trained(folder: Path | str = TRAINED) -> Trained:
    """The committed model, or that of a run folder such as ../runs/demo."""
    folder = Path(folder)
    stored = folder / LOSSES_FILE
    losses = json.loads(stored.read_text()) if stored.exists() else read_metrics(folder, "validation")[-1]
    model = load_model(folder).float()
    if not isinstance(model, AIMv2):
        raise ValueError(f"{folder} holds a model without captions ({model.recipe.name}); give a run of tiny")
    return Trained(model, load_tokenizer(str(folder / TOKENIZER)), losses)


def store(run: tyro.conf.Positional[Path], folder: Path = TRAINED) -> None:
    """Copy a run's newest model, in half precision, and its tokenizer and last losses."""
    source = find_model(run)
    folder.mkdir(parents=True, exist_ok=True)
    tensors = {name: tensor.half().contiguous() for name, tensor in load_file(source / MODEL_FILE).items()}
    save_file(tensors, folder / MODEL_FILE, metadata={"format": "pt"})
    shutil.copy(source / RECIPE_FILE, folder / RECIPE_FILE)
    shutil.copytree(run / TOKENIZER, folder / TOKENIZER, dirs_exist_ok=True)
    last = {name: round(value, 4) for name, value in read_metrics(run, "validation")[-1].items() if name != "kind"}
    (folder / LOSSES_FILE).write_text(json.dumps(last) + "\n")


if __name__ == "__main__":
    tyro.cli(store)
