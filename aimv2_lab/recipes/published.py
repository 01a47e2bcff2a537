"""The papers' own recipes, with where every number comes from."""

from __future__ import annotations

from dataclasses import replace

from aimv2_lab.recipes.data import IMAGENET_MEAN, IMAGENET_STD, DataRecipe
from aimv2_lab.recipes.decoder import DecoderRecipe
from aimv2_lab.recipes.encoder import EncoderRecipe, TrunkRecipe
from aimv2_lab.recipes.mixtures import ADAPTATION_MIXTURE, AIMV1_MIXTURE, AIMV2_MIXTURE
from aimv2_lab.recipes.pretraining import AIMv1Recipe, Recipe
from aimv2_lab.recipes.resolution import ResolutionRecipe
from aimv2_lab.recipes.training import TrainingRecipe

# Width, depth, heads, SwiGLU hidden width and peak learning rate by encoder size. Base is in the released code only;
# its learning rate is our choice (large's).
SIZES: dict[str, tuple[int, int, int, int, float]] = {
    "base": (768, 12, 6, 2048, 1e-3),
    "large": (1024, 24, 8, 2816, 1e-3),
    "huge": (1536, 24, 12, 4096, 8e-4),
    "1b": (2048, 24, 16, 5632, 8e-4),
    "3b": (3072, 24, 24, 8192, 4e-4),
}
# The paper fixes one decoder for every encoder size; that base, which it does not train, keeps it is our choice.
PAPER_DECODER = DecoderRecipe(width=1024, depth=12, heads=8, hidden=2816)
# Adapting to a higher resolution takes 2 billion pairs (paper, section 2.4): so many steps of 8192 hold them.
ADAPTATION_STEPS = 244_141


def published(size: str, image_size: int) -> Recipe:
    """A published size at a published resolution.

    Stated (paper, Tables 1, 2, A1 and sections 2.1, 2.2): width and depth, decoder width and depth, pixel weight,
    betas, peak and least rate, decay, batch, clip, warm-up, steps, cosine, crop, flip, the data's shares.
    Released code: heads, hidden widths, norm eps, positions, CLIP's mean and deviation (checkpoints); the decoder's
    heads and positions, Adam's eps, the warm-up's start, what is not decayed, bfloat16, micro-batches of 128 (training
    code). Ours: base's rate, the stand-ins for data that are not public, the seed, everything in `engine`, and how
    often a run logs, validates and saves.

    At 336 and 448 the paper adapts a 224 model on 2 billion pairs without synthetic captions, with weight decay 0
    (section 2.4, stated). That stage's rate, schedule and batch are not published: those of pre-training are kept,
    which is ours, as are the steps that follow from them.
    """
    width, depth, heads, hidden, peak_lr = SIZES[size]
    training, data = TrainingRecipe(peak_lr=peak_lr), DataRecipe(mixture=AIMV2_MIXTURE)
    if image_size != 224:
        training = replace(training, weight_decay=0.0, steps=ADAPTATION_STEPS)
        data = replace(data, mixture=ADAPTATION_MIXTURE)
    encoder = EncoderRecipe(image_size, width, depth, heads, hidden)
    return Recipe(f"aimv2-{size}-{image_size}", encoder, PAPER_DECODER, data=data, training=training)


def published_native(size: str) -> Recipe:
    """A published size at native resolution, from first weights; the large one is released.

    Stated (paper, section 2.4): an area of 2 to the n patches for every step, n from a normal cut at ±1 and mapped to
    7 … 12, A times B constant, aspect ratio kept. Released code: sine-cosine positions. Ours, because it is not
    published: the constant, 8192 x 256 = 2,097,152 patches a step, what pre-training at 224 has; data, rate and
    steps, that run's; that n is not rounded and A is; masks for padding. The paper's is a stage after pre-training, of
    which it says little; `adaptation_recipe` goes on to this recipe from a model with sine-cosine positions.
    """
    known = published(size, 224)
    encoder = replace(known.encoder, positions="sincos")
    return replace(known, name=f"aimv2-{size}-native", encoder=encoder, resolution=ResolutionRecipe(batching="padded"))


# AIM v1's sizes by name: width, depth, heads, and steps in all (AIM v1, Table 1; heads from released inference code).
# One optimisation for every size. Its AdamW is the ordinary one, which multiplies decay by the learning rate; 0.05 is
# the released training code's. Betas, warm-up, least rate, clip, crop ratio and flip are known second-hand only.
AIMV1_SIZES: dict[str, tuple[int, int, int, int]] = {
    "600m": (1536, 24, 12, 500_000),
    "1b": (2048, 24, 16, 1_200_000),
    "3b": (3072, 24, 24, 1_200_000),
    "7b": (4096, 32, 32, 1_200_000),
}


def published_aimv1(size: str) -> AIMv1Recipe:
    """A published size of AIM v1.

    Stated (AIM v1): width, depth, steps, peak rate, batch, warm-up then cosine, head of 12 blocks of 2048, sine-cosine
    positions before the trunk and again before the head, pictures alone, DFN-2B and ImageNet-1k as 0.8 and 0.2, crops
    from 0.4, bfloat16. Released code: heads, norm eps, the norm on patches, the head's order of layers, ImageNet's mean
    and deviation, AdamW's decay. From memory (the appendix is not among our sources): betas, clip, warm-up of 31,250,
    least rate 0, crop ratio, flip, and the decay, which the released code confirms; the appendix may have 1,250,000
    steps where the body has 1.2 million. Ours: Adam's eps and the warm-up's start (AIMv2's), the seed, everything in
    `engine`, micro-batches, and how often a run logs, validates and saves.
    """
    width, depth, heads, steps = AIMV1_SIZES[size]
    training = TrainingRecipe(
        steps=steps,
        batch_size=4096,
        peak_lr=1e-3,
        min_lr=0.0,
        warmup_steps=31_250,
        weight_decay=0.05,
        decay="ordinary",
    )
    data = DataRecipe(mixture=AIMV1_MIXTURE, tokenizer="", mean=IMAGENET_MEAN, std=IMAGENET_STD)
    return AIMv1Recipe(f"aim-{size}", TrunkRecipe(224, width, depth, heads), data=data, training=training)
