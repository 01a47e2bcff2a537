"""The toys that every ablation is a variant of: AIMv2 and AIM v1 at the same size, on the same pictures.

Fixed before the reported seeds were run; LOG.md has what was tried on pilot seeds. All sizes and rates are our choice.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from aimv2_lab.recipes import (
    IMAGENET_MEAN,
    IMAGENET_STD,
    AIMv1Recipe,
    DataRecipe,
    DecoderRecipe,
    EncoderRecipe,
    PixelHeadRecipe,
    Recipe,
    TrainingRecipe,
    TrunkRecipe,
)
from aimv2_lab.recipes.probing import ProbeKind, ProbeRecipe

WORLD = "world:contrast"
PROBED_SEED = 1  # of the world, for probes alone: neither pilot runs nor any training has seen these scenes
TRAINED_SCENES, PROBED_SCENES = 12_000, 2_000
CAPTION_TOKENS = 18  # of the world's captions, the mean: what FLOPs are counted with

AIMV2 = Recipe(
    name="toy",
    encoder=EncoderRecipe(image_size=32, patch_size=8, width=96, depth=3, heads=3, hidden=256, positions="sincos"),
    decoder=DecoderRecipe(width=96, depth=2, heads=3, hidden=256, vocabulary=94, text_tokens=28),
    data=DataRecipe(
        source=f"{WORLD}:{TRAINED_SCENES}",
        tokenizer="world",
        crop_scale=(1.0, 1.0),  # captions say where things are
        crop_ratio=(1.0, 1.0),
        flip_probability=0.0,
    ),
    training=TrainingRecipe(
        steps=1600,
        batch_size=16,
        micro_batch_size=16,
        optimizer="muon",  # learns in a minute what AdamW takes several for
        peak_lr=1.5e-3,
        warmup_steps=60,
        loss_limit=1e3,  # a contrastive loss over 16 pairs leaps, and every variant is to reach its end
        precision="float32",
        log_every=10,
        validate_every=1600,
        validation_batches=32,
        checkpoint_every=400,
        checkpoints_kept=1,
    ),
)
AIM_V1 = AIMv1Recipe(
    name="toy-v1",
    encoder=TrunkRecipe(image_size=32, patch_size=8, width=96, depth=3, heads=3),
    head=PixelHeadRecipe(width=96, depth=2),
    data=replace(AIMV2.data, tokenizer="", mean=IMAGENET_MEAN, std=IMAGENET_STD),
    training=replace(AIMV2.training, min_lr=0.0, weight_decay=0.05, decay="ordinary"),
)

# Smaller grids than the papers': 12 factors are probed in each of some hundred encoders.
PROBES: Mapping[ProbeKind, ProbeRecipe] = {
    "attentive": ProbeRecipe(learning_rates=(3e-3, 1e-2, 3e-2), weight_decays=(0.1,), epochs=20, batch_size=250),
    "linear": ProbeRecipe("linear", learning_rates=(1e-2, 3e-2, 1e-1), weight_decays=(0.1,), epochs=40, batch_size=250),
    "neighbours": ProbeRecipe("neighbours"),
}
