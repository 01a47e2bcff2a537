"""A run of fine-tuning for image classification, whole."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from aimv2_lab.fields import check_range
from aimv2_lab.recipes.data import CLASSES, DataRecipe
from aimv2_lab.recipes.decoder import ObjectiveRecipe
from aimv2_lab.recipes.encoder import EncoderRecipe, TrunkRecipe
from aimv2_lab.recipes.training import EngineRecipe, TrainingRecipe
from aimv2_lab.recipes.writing import Writable, check_precision


@dataclass(frozen=True)
class FinetuneRecipe(Writable):
    """One run of image classification from a trained encoder, whole.

    `start` is the checkpoint, or run folder, whose encoder is gone on with. `method` says what of it is trained beside
    the new head: "full" all weights, with the rate of block i of N, counted from 0, multiplied by
    `layer_decay` ** (N - i), "lora" adapters of `lora_rank` on every linear layer of the blocks, added with the factor
    lora_alpha / lora_rank, "frozen" nothing. `classes` are the labels in the order of the head's outputs; empty: those
    that the training data have, which are written into the run's recipe. Layer decay, rank and alpha are our choice
    within what is usual (BEiT: 0.65 … 0.85; AIM v1: rank 8).
    """

    name: str
    start: str
    encoder: EncoderRecipe | TrunkRecipe
    method: Literal["full", "lora", "frozen"] = "full"
    classes: tuple[str, ...] = ()
    layer_decay: float = 0.75
    lora_rank: int = 8
    lora_alpha: int = 16
    data: DataRecipe = field(default_factory=lambda: DataRecipe(tokenizer=CLASSES))
    training: TrainingRecipe = field(default_factory=TrainingRecipe)
    engine: EngineRecipe = field(default_factory=EngineRecipe)

    def __post_init__(self) -> None:
        check_precision(self.training, self.engine)
        check_range("layer_decay", self.layer_decay, 1e-3, 1.0)
        check_range("lora_rank", self.lora_rank, 1)
        if not self.start:
            raise ValueError("start is empty: give the checkpoint or run folder whose encoder is fine-tuned")
        if len(self.classes) == 1 or len(set(self.classes)) < len(self.classes):
            raise ValueError(f"classes = {self.classes!r:.200}: at least two are needed, each once; empty: the data's")
        if self.data.tokenizer != CLASSES:
            raise ValueError(
                f"data.tokenizer = {self.data.tokenizer!r}: fine-tuning reads labels; leave it {CLASSES!r}"
            )
        if self.training.optimizer != "adamw":
            raise ValueError(f"training.optimizer = {self.training.optimizer!r}: fine-tuning has adamw alone")
        if self.engine.weights == "bfloat16" and self.method != "full":
            raise ValueError(
                f"engine.weights = 'bfloat16' with method = {self.method!r}: frozen weights have no float32 copies in "
                "the optimizer, and would be rounded for good. Leave engine.weights float32"
            )

    @property
    def text_tokens(self) -> int:
        """One: a label is read as a caption of one token."""
        return 1

    @property
    def objective(self) -> ObjectiveRecipe:
        """The whole picture is seen, and no patch is predicted."""
        return ObjectiveRecipe(pixel_weight=0.0, encoder_attention="bidirectional")
