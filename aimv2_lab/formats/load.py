"""A trained encoder, and what its pictures must go through, from whatever it was written as.

Read are our checkpoints and run folders, directories of transformers and of timm, directories and single files with
the names of Apple's code, and the names of such models on the hub. Which it is, is seen in the configuration and in the
names of the tensors; nothing is unpickled, and no code of a model is run.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from aimv2_lab.data.preprocessing import Preprocessing, evaluation_preprocessing
from aimv2_lab.data.tokenizer import CaptionTokenizer, load_tokenizer
from aimv2_lab.data.transforms import Scaled
from aimv2_lab.formats.apple import recipe_of_shapes
from aimv2_lab.formats.detect import check_tensors, find_layout
from aimv2_lab.formats.folder import (
    CHECKPOINTS,
    MODEL_FILE,
    RECIPE_FILE,
    find_model,
    load_model,
    own_tokenizer,
    read_recipe,
    read_shapes,
    read_tensors,
)
from aimv2_lab.formats.hub import fetched, is_hub_name
from aimv2_lab.formats.huggingface import encoder_recipe_of
from aimv2_lab.formats.lit import read_towers
from aimv2_lab.formats.names import TIMM, Names, from_theirs, to_theirs
from aimv2_lab.formats.processor import PROCESSOR_FILE, read_processor
from aimv2_lab.formats.timm_directory import timm_preprocessing, timm_recipe
from aimv2_lab.model.encoder import VisionEncoder
from aimv2_lab.model.pooling import PoolingHead
from aimv2_lab.model.positions import resized_positions
from aimv2_lab.model.two_towers import TwoTowers
from aimv2_lab.recipes import PAPER_DECODER, AnyRecipe, DataRecipe, EncoderRecipe, Recipe, is_native

CONFIG_FILE, PARTS_FILE = "config.json", "model.safetensors.index.json"
_PICKLES = (".bin", ".pt", ".pth", ".ckpt", ".pkl")


def load_encoder(
    path: str | Path,
    revision: str | None = None,
    cache_dir: str | Path | None = None,
    image_size: int | None = None,
) -> VisionEncoder:
    """The encoder of a checkpoint, run folder, directory, safetensors file or hub name: on the CPU, in evaluation mode,
    in float32 whatever the file's type.

    `revision` and `cache_dir` are for hub names. `image_size` resizes a learned position table to pictures of that many
    pixels a side. A pooling head is in `encoder.head`. Raises FileNotFoundError where nothing is found, and ValueError
    for pickles, AIM v1 in other formats than ours, and tensors that are missing, left over or of another shape.
    """
    place = find_place(path, revision, cache_dir)
    encoder = load_model(place).encoder if is_ours(place) else _read_foreign(place)
    if image_size is not None:
        resize(encoder, image_size)
    return encoder.float().eval()


def load_towers(path: str | Path, revision: str | None = None, cache_dir: str | Path | None = None) -> TwoTowers:
    """Both towers of a LiT run or checkpoint, directory of transformers, directory or file of Apple's names, or name on
    the hub: on the CPU, in evaluation mode, in float32.

    Raises what `load_encoder` does, and ValueError for what holds no text tower.
    """
    place = find_place(path, revision, cache_dir)
    if not is_ours(place):
        return read_towers(_tensors(place), _config(place), place)
    model = load_model(place)
    if not isinstance(model, TwoTowers):
        raise ValueError(f"{place} holds {type(model).__name__}, not two towers: train them with launch.lit")
    return model


def recipe_of(path: str | Path) -> AnyRecipe:
    """The recipe that an encoder was trained by, as far as it is known.

    Of our own checkpoints it is theirs; of whatever else `load_encoder` reads, the paper's with the encoder's sizes and
    the mean and deviation that its pictures go through, CLIP's where nothing says them. Raises as `load_encoder` does.
    """
    place = find_place(path)
    if is_ours(place):
        return read_recipe(find_model(place) / RECIPE_FILE)
    config, shapes = _config(place), _tensors(place, read_shapes)
    layout = find_layout(shapes, place)
    sizes = _recipe(config, layout.stripped(shapes, place), layout.names, place)
    try:
        seen: Scaled = load_preprocessing(path)
    except FileNotFoundError:  # a file that lies alone
        seen = DataRecipe()
    name = Path(path).resolve().name.removesuffix(".safetensors")
    return Recipe(name, sizes, PAPER_DECODER, data=DataRecipe(mean=seen.mean, std=seen.std))


def towers_tokenizer(
    path: str | Path, revision: str | None = None, cache_dir: str | Path | None = None
) -> CaptionTokenizer:
    """The tokenizer of the towers that `load_towers` gives for the same arguments, with its begin token: the run's own,
    or the directory's. Raises as `load_tokenizer` does."""
    place = find_place(path, revision, cache_dir)
    own = own_tokenizer(place)
    return load_tokenizer(str(own if own.is_dir() else place)).with_begin()


def load_preprocessing(
    path: str | Path,
    revision: str | None = None,
    cache_dir: str | Path | None = None,
    image_size: int | None = None,
) -> Preprocessing:
    """What pictures go through on their way to the encoder that `load_encoder` gives for the same arguments.

    Of our own checkpoints it is the view of evaluation with the mean and deviation of training, and where training
    was at native resolution all of a picture at its own size, in as many patches as training had at most; of
    directories what they say. Raises FileNotFoundError where nothing says it, and ValueError for settings that are not
    read.
    """
    place = find_place(path, revision, cache_dir)
    if is_ours(place):
        trained = read_recipe(find_model(place) / RECIPE_FILE)
        found = evaluation_preprocessing(trained.data, trained.encoder.image_size)
        if is_native(trained):
            most = round(2 ** trained.resolution.area_exponents[1])
            found = replace(found, shortest_side=None, crop=None, multiple=trained.encoder.patch_size, most=most)
    else:
        found = _read_preprocessing(place)
    return found if image_size is None else found.at(image_size)


def find_place(path: str | Path, revision: str | None = None, cache_dir: str | Path | None = None) -> Path:
    """The folder or file on disk; a checkpoint's own file stands for its folder."""
    if is_hub_name(path):
        return fetched(str(path), revision, cache_dir)
    if revision is not None:
        raise ValueError(f"revision = {revision!r} is for a name on the hub, OWNER/NAME; {path} is none")
    place = Path(path)
    if place.is_file() and place.name == MODEL_FILE and (place.parent / RECIPE_FILE).exists():
        return place.parent
    return place


def is_ours(place: Path) -> bool:
    """Whether this is one of our folders, or nothing at all, which `find_model` says best."""
    return not place.exists() or (place / RECIPE_FILE).exists() or (place / CHECKPOINTS).exists()


def _read_foreign(place: Path) -> VisionEncoder:
    config, tensors = _config(place), _tensors(place)
    layout = find_layout(tensors, place)
    names, tensors = layout.names, layout.stripped(tensors, place)
    recipe = _recipe(config, tensors, names, place)
    with torch.device("meta"):  # no weights are drawn only to be replaced
        encoder = VisionEncoder(recipe)
        if _has_head(config, tensors, names):
            encoder.head = PoolingHead(recipe.width, recipe.heads)
    ours = encoder.state_dict()
    check_tensors(tensors, to_theirs(ours, names), place, f"those of {names.library}")
    encoder.load_state_dict(from_theirs(tensors, ours, names), assign=True)
    return encoder


def _recipe(config: Mapping[str, Any], tensors: Mapping[str, Tensor], names: Names, place: Path) -> EncoderRecipe:
    if not config:
        return recipe_of_shapes(tensors, names, place)
    if "architecture" in config:
        return timm_recipe(config, place)
    if config.get("model_type", "aimv2") not in ("aimv2", "aimv2_vision_model") or "hidden_size" not in _vision(config):
        raise ValueError(
            f"{place}: its {CONFIG_FILE} with model_type = {config.get('model_type')!r} describes no AIMv2 encoder; "
            "expected aimv2_vision_model or aimv2 with hidden_size and the like, or timm's architecture"
        )
    return encoder_recipe_of(_vision(config), names.theirs("positions")[0] in tensors, place)


def _has_head(config: Mapping[str, Any], tensors: Mapping[str, Tensor], names: Names) -> bool:
    """Whether there is a pooling head; one that the configuration promises and the file lacks is then missed."""
    return names is not TIMM and (
        _vision(config).get("use_head") is True or any(name.startswith("head.") for name in tensors)
    )


def _read_preprocessing(place: Path) -> Preprocessing:
    folder, config = place if place.is_dir() else place.parent, _config(place)
    if (folder / PROCESSOR_FILE).exists():
        about = _json(folder / PROCESSOR_FILE)
        return read_processor(about, _vision(config).get("patch_size", 14), folder / PROCESSOR_FILE)
    if "architecture" in config:
        return timm_preprocessing(config, folder / CONFIG_FILE)
    raise FileNotFoundError(
        f"{place} does not say how its pictures are read: there is no {PROCESSOR_FILE}. Build the Preprocessing "
        "yourself; the released encoders have CLIP's mean and deviation"
    )


def _vision(config: Mapping[str, Any]) -> Mapping[str, Any]:
    """The part of a configuration that describes the image encoder: all of it, unless there is a text tower."""
    return config.get("vision_config", config)


def _config(place: Path) -> dict[str, Any]:
    """The configuration in or beside a place; empty for a file that lies alone."""
    file = (place if place.is_dir() else place.parent) / CONFIG_FILE
    if file.exists():
        return _json(file)
    return {}


def _json(file: Path) -> dict[str, Any]:
    """What a JSON file holds; raises ValueError naming it where that is no table."""
    try:
        found = json.loads(file.read_text())
    except ValueError as error:
        raise ValueError(f"{file} is no JSON: {error}") from error
    if isinstance(found, dict):
        return found
    raise ValueError(f"{file} holds no configuration")


def _tensors(place: Path, read: Callable[[Path], dict[str, Tensor]] = read_tensors) -> dict[str, Tensor]:
    """All tensors of a file or directory, also of weights in several files; pickles raise ValueError."""
    if place.is_file():
        _refuse_pickle(place)
        return read(place)
    if (place / MODEL_FILE).exists():
        return read(place / MODEL_FILE)
    if (place / PARTS_FILE).exists():
        parts = {*_json(place / PARTS_FILE)["weight_map"].values()}
        return {name: tensor for part in sorted(parts) for name, tensor in read(place / part).items()}
    for file in sorted(place.iterdir()):
        _refuse_pickle(file)
    raise FileNotFoundError(
        f"no weights in {place}: expected {MODEL_FILE} (or {PARTS_FILE}), or one of our run folders with "
        f"{RECIPE_FILE} or {CHECKPOINTS}/. Of the hub's models safetensors alone are fetched: pickles are not read"
    )


def _refuse_pickle(file: Path) -> None:
    if file.suffix in _PICKLES:
        raise ValueError(
            f"{file} is a pickle, which can run code when it is read. Convert it once, where you trust it: "
            f"safetensors.torch.save_file(torch.load({str(file)!r}, weights_only=True), {MODEL_FILE!r})"
        )


def resize(encoder: VisionEncoder, image_size: int) -> None:
    """Give an encoder another resolution, in place; raises ValueError where patches do not fill it."""
    encoder.recipe = replace(encoder.recipe, image_size=image_size)
    if encoder.positions is not None:
        encoder.positions = nn.Parameter(resized_positions(encoder.positions.detach(), encoder.recipe.grid_size))
