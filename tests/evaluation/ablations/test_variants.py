"""Every variant can be trained, differs from its toy in what its name says, and stands in a table."""

from __future__ import annotations

import pytest
import torch

from aimv2_lab.data.batches import batches
from aimv2_lab.data.tokenizer import load_tokenizer
from aimv2_lab.data.world.source import open_world
from aimv2_lab.evaluation.ablations.tables import ABLATIONS
from aimv2_lab.evaluation.ablations.toys import AIM_V1, AIMV2, CAPTION_TOKENS
from aimv2_lab.evaluation.ablations.variants import FEW, MANY, VARIANTS
from aimv2_lab.recipes import differences
from aimv2_lab.training.engine import LocalEngine
from aimv2_lab.training.loop import build_model, open_data
from aimv2_lab.training.plan.flops import picture_flops
from aimv2_lab.training.step import loss_counts, train_step

# What a variant changes: of AIMv2's toy, or of AIM v1's.
CHANGED = {
    "pixel-weight-0.2": {"objective.pixel_weight"},
    "separate-decoders": {"decoder.separate"},
    "decoder-width-48": {"decoder.width", "decoder.hidden"},
    "decoder-depth-4": {"decoder.depth"},
    "aimv2-causal": {"objective.encoder_attention"},
    "aim-causal": {"objective.encoder_attention"},
    "aim-spiral": {"objective.encoder_attention", "objective.patch_order"},
    "aim-raw-targets": {"objective.target"},
    "aim-no-head": {"head.depth"},
    "aim-deep": {"encoder.width", "encoder.depth", "encoder.heads"},
    "aim-crops-0.08": {"data.crop_scale", "data.crop_ratio"},
}


@pytest.mark.parametrize("name", VARIANTS)
def test_a_variant_takes_a_step(name: str) -> None:
    recipe = VARIANTS[name].seeded(3).change({"data.source": "world:contrast:64"})
    data, model = open_data(recipe), build_model(recipe)
    assert recipe.training.seed == 3
    batch = next(iter(batches(data.training, recipe.training.batch_size, 0, 1, 0)))
    engine = LocalEngine(model, recipe.training, torch.device("cpu"))
    result = train_step(engine, batch, loss_counts(batch, recipe), recipe)
    assert result.total.isfinite() and result.gradient_norm > 0


@pytest.mark.parametrize(("name", "changed"), CHANGED.items())
def test_a_variant_differs_from_its_toy_in_nothing_else(name: str, changed: set[str]) -> None:
    toy = AIM_V1 if name.startswith("aim-") else AIMV2
    assert set(differences(toy, VARIANTS[name].recipe)) == changed


def test_every_variant_stands_in_a_table_and_every_row_is_a_variant() -> None:
    rows = [row for table in ABLATIONS.values() for row in table.rows]
    assert {row.variant for row in rows} == set(VARIANTS)
    for row in rows:
        assert row.probe in VARIANTS[row.variant].probes, row
    for table in ABLATIONS.values():
        labels = [row.label for row in table.rows]
        assert table.default in labels and len(set(labels)) == len(labels)
        assert all(len(row.paper) in (0, len(table.columns)) for row in table.rows)


def test_what_the_bars_are_about_has_more_seeds() -> None:
    assert MANY >= 5 and FEW >= 3
    for table in ("aim-attention", "attention", "attention-fine", "probe"):
        assert all(VARIANTS[row.variant].seeds == MANY for row in ABLATIONS[table].rows)
    of_objective = {"aimv2", "image-only", "caption-only", "caption-only-bidirectional"}
    assert all(VARIANTS[name].seeds == MANY for name in of_objective)


def test_equal_pairs_and_equal_flops() -> None:
    def pairs(name: str) -> int:
        training = VARIANTS[name].recipe.training
        return training.steps * training.batch_size

    def flops(name: str) -> float:
        return pairs(name) * picture_flops(VARIANTS[name].recipe, CAPTION_TOKENS).step

    for name in VARIANTS:
        if name.endswith("-flops"):
            assert flops(name) == pytest.approx(flops("aimv2"), rel=1e-3), name
        else:
            assert pairs(name) == pairs("aimv2"), name
    assert flops("caption-only") == pytest.approx(flops("aimv2"), rel=0.03)
    trunks = [build_model(VARIANTS[name].recipe).encoder for name in ("aim", "aim-deep")]
    wide, deep = (sum(weight.numel() for weight in trunk.parameters()) for trunk in trunks)
    assert deep == pytest.approx(wide, rel=0.03)


def test_captions_of_the_world_fit_and_are_as_long_as_flops_are_counted_with() -> None:
    world, tokenizer = open_world("world:contrast:300", size=32), load_tokenizer("world")
    texts = [text for index in range(300) for text in world[index].captions]
    _, counted = tokenizer.encode(texts, AIMV2.decoder.text_tokens + 1)
    lengths = counted.sum(dim=1).float()
    assert lengths.max() <= AIMV2.decoder.text_tokens
    assert abs(lengths.mean().item() - CAPTION_TOKENS) < 0.5
