"""Our own format: a folder with `recipe.json` and `model.safetensors`. Nothing in it is ever unpickled."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor

from aimv2_lab.formats.detect import check_tensors
from aimv2_lab.model.adapters import merged
from aimv2_lab.model.models import AnyModel, model_of
from aimv2_lab.recipes import AnyRecipe, FinetuneRecipe, any_recipe_from_json

RECIPE_FILE, MODEL_FILE, CHECKPOINTS = "recipe.json", "model.safetensors", "checkpoints"
TOKENIZER = "tokenizer"  # a run folder's


def save_model(folder: Path, model: AnyModel) -> None:
    """Write a model's recipe and weights into an existing folder."""
    save_weights(folder, model.recipe, model.state_dict())


def save_weights(folder: Path, recipe: AnyRecipe, weights: Mapping[str, Tensor]) -> None:
    """Write a recipe and the weights by name of the model it describes into an existing folder."""
    (folder / RECIPE_FILE).write_text(recipe.to_json())
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in weights.items()}
    save_file(tensors, folder / MODEL_FILE, metadata={"format": "pt"})


def newest_checkpoint(run: Path) -> Path | None:
    """The checkpoint of the highest step in a run folder, or None. Half-written ones have other names."""
    found = checkpoints(run)
    return found[-1] if found else None


def checkpoints(run: Path) -> list[Path]:
    """The checkpoints of a run folder by step; anything else that lies there is passed over."""
    return sorted(path for path in (run / CHECKPOINTS).glob("step-*") if re.fullmatch(r"step-\d{8,}", path.name))


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


def own_tokenizer(place: Path) -> Path:
    """Where the run of a checkpoint, or of a run folder, keeps its tokenizer, if it has one."""
    run = place.parent.parent if place.parent.name == CHECKPOINTS else place
    return run / TOKENIZER


def read_recipe(file: Path) -> AnyRecipe:
    """The recipe in a file; one that is no recipe raises ValueError naming the file."""
    try:
        return any_recipe_from_json(file.read_text())
    except (ValueError, KeyError) as error:
        raise ValueError(f"{file} holds no recipe of this version: {error}") from error


def read_tensors(file: Path) -> dict[str, Tensor]:
    """Every tensor of a safetensors file; a damaged one raises ValueError naming it."""
    with _readable(file):
        return load_file(file)


def read_shapes(file: Path) -> dict[str, Tensor]:
    """Every tensor's name and shape, on the meta device: no weight is read. Raises as `read_tensors` does."""
    with _readable(file), safe_open(file, "pt") as held:
        return {name: torch.empty(held.get_slice(name).get_shape(), device="meta") for name in held.keys()}  # noqa: SIM118


@contextmanager
def _readable(file: Path) -> Iterator[None]:
    try:
        yield
    except SafetensorError as error:
        raise ValueError(f"{file} is no readable safetensors file ({error}); use an earlier checkpoint") from error


def load_model(path: str | Path) -> AnyModel:
    """The model of a checkpoint or of a run folder's newest one, on the CPU, in evaluation mode, LoRA merged.

    Raises what `find_model`, `read_recipe`, `read_tensors` and `check_tensors` do.
    """
    folder = find_model(path)
    recipe, weights = read_recipe(folder / RECIPE_FILE), read_tensors(folder / MODEL_FILE)
    with torch.device("meta"):  # no weights are drawn only to be replaced
        model = model_of(recipe)
    weights = merged(weights, recipe) if isinstance(recipe, FinetuneRecipe) else weights
    check_tensors(weights, model.state_dict(), folder / MODEL_FILE, "ours")
    model.load_state_dict(weights, assign=True)
    return model.eval()
