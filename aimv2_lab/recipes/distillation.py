"""A run that teaches a small encoder to see as a trained one does, whole."""

from __future__ import annotations

from dataclasses import dataclass, field

from aimv2_lab.fields import check_range
from aimv2_lab.recipes.data import CLASSES, DataRecipe
from aimv2_lab.recipes.decoder import DecoderRecipe, ObjectiveRecipe
from aimv2_lab.recipes.encoder import EncoderRecipe, TrunkRecipe
from aimv2_lab.recipes.training import EngineRecipe, TrainingRecipe
from aimv2_lab.recipes.writing import Writable, check_precision


@dataclass(frozen=True)
class DistillationRecipe(Writable):
    """One run of distillation, whole: total = features + pretraining_weight * (text + objective.pixel_weight * pixel).

    `teacher` is the checkpoint, or run folder, of the frozen encoder `teacher_encoder`; `encoder` is the student. With
    `pretraining_weight` 0 there is no decoder and no caption is read. How the released student was taught is not
    known: all of this is our choice.
    """

    name: str
    teacher: str
    teacher_encoder: EncoderRecipe | TrunkRecipe
    encoder: EncoderRecipe
    decoder: DecoderRecipe
    pretraining_weight: float = 0.0
    objective: ObjectiveRecipe = field(default_factory=ObjectiveRecipe)
    data: DataRecipe = field(default_factory=DataRecipe)
    training: TrainingRecipe = field(default_factory=TrainingRecipe)
    engine: EngineRecipe = field(default_factory=EngineRecipe)

    def __post_init__(self) -> None:
        check_precision(self.training, self.engine)
        check_range("pretraining_weight", self.pretraining_weight, 0.0)
        if not self.teacher:
            raise ValueError("teacher is empty: give the checkpoint or run folder that the student learns from")
        grids = {"encoder": self.encoder.grid_size, "teacher_encoder": self.teacher_encoder.grid_size}
        sizes = {"encoder": self.encoder.image_size, "teacher_encoder": self.teacher_encoder.image_size}
        if len(set(grids.values())) > 1 or len(set(sizes.values())) > 1:
            raise ValueError(
                f"pictures of {sizes} px in grids of {grids} patches a side: the student learns the teacher's features "
                "patch by patch. Give encoder the teacher's image_size and patch_size"
            )
        if self.pretraining_weight and (not self.data.tokenizer or self.data.tokenizer == CLASSES):
            raise ValueError(f"data.tokenizer = {self.data.tokenizer!r}: pretraining_weight needs captions and one")
        if self.pretraining_weight and (not self.decoder.text_tokens or self.objective.target == "none"):
            raise ValueError(
                f"pretraining_weight with decoder.text_tokens = {self.decoder.text_tokens} and objective.target = "
                f"{self.objective.target!r}: what goes on beside is AIMv2's pre-training, of pictures and captions"
            )
        if self.objective.patch_order != "raster" or self.decoder.separate:
            raise ValueError(
                f"objective.patch_order = {self.objective.patch_order!r}, decoder.separate = {self.decoder.separate}: "
                "beside a teacher AIMv2's own pre-training goes on. Leave them 'raster' and False"
            )
        if self.training.optimizer != "adamw":
            raise ValueError(f"training.optimizer = {self.training.optimizer!r}: distillation has adamw alone")
        if self.engine.weights == "bfloat16":
            raise ValueError(
                "engine.weights = 'bfloat16': the frozen teacher has no float32 copies in the optimizer, and would be "
                "rounded for good. Leave engine.weights float32"
            )

    @property
    def text_tokens(self) -> int:
        """The most text tokens of a pair; none where no caption is read."""
        return self.decoder.text_tokens if self.pretraining_weight else 0

    @property
    def vocabulary(self) -> int:
        """Entries of the token table."""
        return self.decoder.vocabulary
