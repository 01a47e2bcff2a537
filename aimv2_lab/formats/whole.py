"""A whole pre-trained model, encoder and decoder, to go on with: from our own folders; no others hold one."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from aimv2_lab.data.tokenizer import CaptionTokenizer, load_tokenizer
from aimv2_lab.formats.folder import RECIPE_FILE, find_model, load_model, own_tokenizer, read_recipe
from aimv2_lab.formats.load import find_place, is_ours, resize
from aimv2_lab.model.aimv2 import AIMv2
from aimv2_lab.recipes import Recipe, differences

# Fields of a recipe's encoder, decoder and objective that make no other model.
_FREE = ("encoder.image_size", "objective.pixel_weight", "objective.encoder_attention")


def load_pretrained(path: str | Path, image_size: int | None = None) -> AIMv2:
    """The whole model of a run folder, checkpoint or hub name: on the CPU, in evaluation mode.

    `image_size` resizes a learned position table, as in `load_encoder`; the decoder needs nothing of the kind. Raises
    what `pretrained_recipe` does.
    """
    pretrained_recipe(path)
    model = load_model(find_place(path))
    assert isinstance(model, AIMv2)
    if image_size is not None:
        model.recipe = replace(model.recipe, encoder=replace(model.recipe.encoder, image_size=image_size))
        resize(model.encoder, image_size)
    return model


def pretrained_recipe(path: str | Path) -> Recipe:
    """The recipe that a whole model was pre-trained by, with the tokenizer that its decoder has learned:
    `data.tokenizer` is the folder in which the run keeps it, if it is there.

    Raises FileNotFoundError where there is no checkpoint, and ValueError for an encoder that stands alone, for a model
    of another kind, and where the run's own tokenizer was trained and is gone.
    """
    place = find_place(path)
    if not is_ours(place):
        raise ValueError(
            f"{path} holds an encoder alone, and pre-training goes on with its decoder too, which no released "
            "weights have: start from a run of launch.pretrain. aimv2_lab.load_encoder(…, image_size=…) resizes it"
        )
    recipe = read_recipe(find_model(place) / RECIPE_FILE)
    if not isinstance(recipe, Recipe):
        raise ValueError(
            f"{path} is of a {type(recipe).__name__}, not of AIMv2's pre-training: start from a run of launch.pretrain "
            "with one of AIMv2's recipes"
        )
    tokenizer = own_tokenizer(place)
    if tokenizer.is_dir():
        return recipe.change({"data.tokenizer": str(tokenizer)})
    if recipe.data.tokenizer == "captions":
        raise ValueError(
            f"{path} has trained a tokenizer on its captions, and {tokenizer} is not there: name the whole run folder, "
            "or put the tokenizer there"
        )
    return recipe


def refuse_other_model(recipe: Recipe) -> None:
    """Raise ValueError where the start that a recipe names is another model than its own, listing the fields in which
    it is; raises as `pretrained_recipe` does."""
    found = differences(pretrained_recipe(recipe.start), recipe)
    parts = ("encoder.", "decoder.", "objective.")
    rows = [
        f"{path} is {there!r} there, {here!r} in the recipe"
        for path, (there, here) in found.items()
        if path.startswith(parts) and path not in _FREE
    ]
    if not rows:
        return
    if recipe.resolution.native and "encoder.positions" in found:
        remedy = (
            "Pictures of many sizes need sine-cosine positions, which a table does not become: start from a run that "
            "was pre-trained with --encoder.positions sincos, or go on at one size, with --resolution.batching fixed "
            "--encoder.positions learned"
        )
    else:
        remedy = "Name the recipe of that model, or give these fields the checkpoint's values"
    raise ValueError(f"{recipe.start!r} is another model: {'; '.join(rows)}. {remedy}; encoder.image_size is free")


def refuse_other_tokenizer(path: str | Path, tokenizer: CaptionTokenizer) -> None:
    """Raise ValueError where the run of a checkpoint keeps another tokenizer, whose tokens its decoder has learned."""
    own = own_tokenizer(find_place(Path(path)))
    if own.is_dir() and load_tokenizer(str(own)).content() != tokenizer.content():
        raise ValueError(
            f"data.tokenizer is another tokenizer than {own}, whose tokens the decoder of {path} has learned: set "
            f"data.tokenizer {own}"
        )
