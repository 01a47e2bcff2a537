"""Our own format: a folder with `recipe.json` and `model.safetensors`. Nothing in it is ever unpickled."""

from __future__ import annotations

from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from aimv2_lab.model.aimv2 import AIMv2
from aimv2_lab.model.encoder import VisionEncoder
from aimv2_lab.recipes import Recipe

RECIPE_FILE, MODEL_FILE, CHECKPOINTS = "recipe.json", "model.safetensors", "checkpoints"


def save_model(folder: Path, model: AIMv2) -> None:
    """Write a model's recipe and weights into an existing folder."""
    (folder / RECIPE_FILE).write_text(model.recipe.to_json())
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in model.state_dict().items()}
    save_file(tensors, folder / MODEL_FILE, metadata={"format": "pt"})


def newest_checkpoint(run: Path) -> Path | None:
    """The checkpoint of the highest step in a run folder, or None. Half-written ones have other names."""
    found = sorted((run / CHECKPOINTS).glob("step-*"), key=lambda path: int(path.name.removeprefix("step-")))
    return found[-1] if found else None


def find_model(path: str | Path) -> Path:
    """The folder that holds the weights: the path itself, or the newest checkpoint of a run folder.

    Raises FileNotFoundError, saying what was looked for.
    """
    path = Path(path)
    folder = path if (path / MODEL_FILE).exists() else newest_checkpoint(path)
    if folder is None or not (folder / MODEL_FILE).exists() or not (folder / RECIPE_FILE).exists():
        raise FileNotFoundError(
            f"no checkpoint at {path}: expected {RECIPE_FILE} and {MODEL_FILE} there, or a run folder with "
            f"{CHECKPOINTS}/step-…"
        )
    return folder


def read_tensors(file: Path) -> dict[str, Tensor]:
    """Every tensor of a safetensors file; a damaged one raises ValueError naming it."""
    try:
        return load_file(file)
    except SafetensorError as error:
        raise ValueError(f"{file} is no readable safetensors file ({error}); use an earlier checkpoint") from error


def load_model(path: str | Path) -> AIMv2:
    """The model of a checkpoint or of a run folder's newest one, on the CPU, in evaluation mode."""
    folder = find_model(path)
    model = AIMv2(Recipe.from_json((folder / RECIPE_FILE).read_text()))
    model.load_state_dict(read_tensors(folder / MODEL_FILE))
    return model.eval()


def load_encoder(path: str | Path) -> VisionEncoder:
    """The trained encoder of a checkpoint or of a run folder's newest one, on the CPU, in evaluation mode."""
    return load_model(path).encoder
