"""A run that fills in hidden patches of pictures, whole: a masked autoencoder over the same encoder."""

from __future__ import annotations

from dataclasses import dataclass, field

from aimv2_lab.fields import check_multiple, check_range
from aimv2_lab.recipes.data import DataRecipe
from aimv2_lab.recipes.decoder import ObjectiveRecipe
from aimv2_lab.recipes.encoder import EncoderRecipe, TrunkRecipe
from aimv2_lab.recipes.training import EngineRecipe, TrainingRecipe
from aimv2_lab.recipes.writing import Writable, check_precision


@dataclass(frozen=True)
class MaskedDecoderRecipe:
    """The light decoder of a masked autoencoder, of the encoder's blocks; thrown away after training.

    Its positions are sine-cosine. Source: MAE (arXiv 2111.06377), which has 8 blocks of width 512 for a ViT-L.
    """

    width: int
    depth: int
    heads: int
    hidden: int
    norm_eps: float = 1e-5

    def __post_init__(self) -> None:
        check_multiple("decoder.width", self.width, "decoder.heads", self.heads)
        check_multiple("decoder.width", self.width, "sine-cosine waves per frequency", 4)
        for name in ("depth", "hidden"):
            check_range(f"decoder.{name}", getattr(self, name), 1)


@dataclass(frozen=True)
class MaskedImageRecipe(Writable):
    """One run of masked image modelling, whole: pictures alone, the pixels of hidden patches alone.

    `hidden_share` of every picture's patches, drawn anew at every visit and rounded to whole patches, is hidden from
    the encoder, which computes the others alone. Source: MAE (arXiv 2111.06377): share 0.75, each patch's target
    standardised, the loss on hidden patches alone.
    """

    name: str
    encoder: EncoderRecipe | TrunkRecipe
    decoder: MaskedDecoderRecipe
    hidden_share: float = 0.75
    data: DataRecipe = field(default_factory=lambda: DataRecipe(tokenizer=""))
    training: TrainingRecipe = field(default_factory=TrainingRecipe)
    engine: EngineRecipe = field(default_factory=EngineRecipe)

    def __post_init__(self) -> None:
        check_precision(self.training, self.engine)
        check_range("hidden_share", self.hidden_share, 0.0, 1.0)
        if not 0 < self.hidden_patches < self.encoder.patches:
            raise ValueError(
                f"hidden_share = {self.hidden_share} hides {self.hidden_patches} of {self.encoder.patches} patches: at "
                "least one must be hidden, and one seen"
            )
        if self.data.tokenizer:
            raise ValueError(
                f"data.tokenizer = {self.data.tokenizer!r}: masked image modelling reads no captions. Leave it empty"
            )

    @property
    def hidden_patches(self) -> int:
        """How many patches of a picture are hidden and predicted."""
        return round(self.hidden_share * self.encoder.patches)

    @property
    def visible_patches(self) -> int:
        """How many patches of a picture the encoder computes."""
        return self.encoder.patches - self.hidden_patches

    @property
    def text_tokens(self) -> int:
        """None: no caption is read."""
        return 0

    @property
    def objective(self) -> ObjectiveRecipe:
        """Visible patches all see each other, and pixels are the whole loss."""
        return ObjectiveRecipe(pixel_weight=1.0, encoder_attention="bidirectional")
