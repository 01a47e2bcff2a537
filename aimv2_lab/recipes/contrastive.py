"""A run that pairs pictures with texts by a contrastive loss, whole: LiT, CLIP and SigLIP."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from aimv2_lab.fields import check_multiple, check_range
from aimv2_lab.recipes.data import CLASSES, DataRecipe
from aimv2_lab.recipes.decoder import ObjectiveRecipe
from aimv2_lab.recipes.encoder import EncoderRecipe, TrunkRecipe
from aimv2_lab.recipes.training import EngineRecipe, TrainingRecipe
from aimv2_lab.recipes.writing import Writable, check_precision


@dataclass(frozen=True)
class TextTowerRecipe:
    """A causal text encoder of the vision encoder's blocks, read at the end token.

    The defaults are the released LiT model's, with CLIP's vocabulary. Source: released code.
    """

    width: int = 768
    depth: int = 12
    heads: int = 6
    hidden: int = 2048
    vocabulary: int = 49_408
    text_tokens: int = 77
    norm_eps: float = 1e-5

    def __post_init__(self) -> None:
        check_multiple("text.width", self.width, "text.heads", self.heads)
        for name, least in (("depth", 1), ("hidden", 1), ("vocabulary", 2), ("text_tokens", 2)):
            check_range(f"text.{name}", getattr(self, name), least)


@dataclass(frozen=True)
class ContrastiveRecipe(Writable):
    """One run that teaches two towers which picture and text belong together, whole.

    `image_tower` "frozen" is LiT: the encoder of the checkpoint or run folder `start` stays as it is, and the text
    tower learns to meet it; "trained" learns both, from `start` where it is named. `loss` "softmax" is CLIP's, over all
    pairs of the global batch, with the logit scale capped at 100; "sigmoid" is SigLIP's. `shared_width` is that of the
    space in which both meet. The batch size is part of the objective: every other pair of the batch is a negative.
    """

    name: str
    encoder: EncoderRecipe | TrunkRecipe
    text: TextTowerRecipe = field(default_factory=TextTowerRecipe)
    start: str = ""
    image_tower: Literal["frozen", "trained"] = "frozen"
    loss: Literal["softmax", "sigmoid"] = "softmax"
    shared_width: int = 768
    data: DataRecipe = field(default_factory=lambda: DataRecipe(tokenizer="openai/clip-vit-base-patch32"))
    training: TrainingRecipe = field(default_factory=TrainingRecipe)
    engine: EngineRecipe = field(default_factory=EngineRecipe)

    def __post_init__(self) -> None:
        check_precision(self.training, self.engine)
        check_range("shared_width", self.shared_width, 1)
        check_range("training.batch_size", self.training.batch_size, 2)
        if not self.data.tokenizer or self.data.tokenizer == CLASSES:
            raise ValueError(f"data.tokenizer = {self.data.tokenizer!r}: texts need one: captions, world, a folder")
        if self.engine.weights == "bfloat16" and self.image_tower == "frozen":
            raise ValueError(
                "engine.weights = 'bfloat16' with image_tower = 'frozen': frozen weights have no float32 copies in the "
                "optimizer, and would be rounded for good. Leave engine.weights float32"
            )

    @property
    def text_tokens(self) -> int:
        """The most text tokens of a pair."""
        return self.text.text_tokens

    @property
    def vocabulary(self) -> int:
        """Entries of the token table."""
        return self.text.vocabulary

    @property
    def objective(self) -> ObjectiveRecipe:
        """The whole picture is seen, and no patch is predicted."""
        return ObjectiveRecipe(pixel_weight=0.0, encoder_attention="bidirectional")
