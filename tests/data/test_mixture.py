"""Several sources as one: exact shares, keys that tell them apart, and nothing that ranks or workers could change."""

import itertools
import json
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from aimv2_lab.data.batches import PairDataset, batches
from aimv2_lab.data.mixture import MixedSource, open_mixture
from aimv2_lab.launch.command import read_command
from aimv2_lab.recipes import AnyRecipe, DataRecipe, MixturePart, recipe
from tests.data.generated import Bytes, ListSource, write_shard

SMALL: dict[str, Any] = {"encoder.image_size": 16, "encoder.patch_size": 4}
NAMES = ("shards", "files", "few")
WEIGHTS = (5, 2, 1)


def changed(synthetic_share: float = 0.5, **changes: Any) -> AnyRecipe:
    parts = [
        {"source": name, "weight": weight, "synthetic_share": synthetic_share}
        for name, weight in zip(NAMES, WEIGHTS, strict=True)
    ]
    return recipe("tiny", SMALL | {"data.source": "", "data.mixture": parts} | changes)


def mixed(damaged: tuple[int, ...] = (), synthetic: bool = False) -> MixedSource:
    """Thirty shards of three, forty pairs, and six that come round often."""
    sources = (
        ListSource(90, name="shards", shards=[3] * 30, synthetic=synthetic),
        ListSource(40, damaged=damaged, name="files", synthetic=synthetic),
        ListSource(6, name="few"),
    )
    return MixedSource(sources, WEIGHTS, NAMES)


def dataset(training: bool = True, **options: Any) -> PairDataset:
    return PairDataset(mixed(**options), Bytes(), changed(), training)


def keys(ranks: int, workers: int = 0, start: int = 0, steps: int = 12) -> list[str]:
    """The keys of consecutive global batches of 16, put together from all ranks."""
    parts = [batches(dataset(), 16, start, steps, workers, rank, ranks) for rank in range(ranks)]
    return [key for step in zip(*parts, strict=True) for batch in step for key in batch.keys]


def test_batches_do_not_depend_on_ranks_workers_or_interruptions() -> None:
    whole = keys(1)
    assert len(whole) == 12 * 16
    for ranks in (2, 4, 8):
        assert keys(ranks) == whole
    assert keys(2, workers=2) == whole
    for steps in (1, 5):
        assert keys(1, steps=steps) + keys(4, start=16 * steps, steps=12 - steps) == whole


def test_shares_are_exact_in_every_block() -> None:
    found = [key.partition(":")[0] for key in keys(1)]
    for start in range(0, len(found), sum(WEIGHTS)):
        assert Counter(found[start : start + sum(WEIGHTS)]) == dict(zip(NAMES, WEIGHTS, strict=True))


def test_a_source_that_is_used_up_begins_again_while_others_go_on() -> None:
    few = [key for key in keys(1, steps=12) if key.startswith("few:")]
    assert len(few) == 24
    epochs = [few[start : start + 6] for start in range(0, 24, 6)]
    assert all(len(set(epoch)) == 6 for epoch in epochs)
    assert len({tuple(epoch) for epoch in epochs}) > 1


def test_equal_keys_of_two_sources_are_told_apart_and_draw_apart() -> None:
    data = dataset()
    samples = [data[position] for position in range(400)]
    first = {name: next(s for s in samples if s.key == f"{name}:pair-3") for name in NAMES}
    assert len({sample.key for sample in first.values()}) == 3
    lengths = [[s.prefix_length for s in samples if s.key.startswith(f"{name}:")][:25] for name in NAMES]
    assert all(one != other for one, other in itertools.combinations(lengths, 2))


def test_damage_is_replaced_within_its_source_and_counted_there() -> None:
    data = dataset(damaged=tuple(range(20)))
    found = [data[position] for position in range(160)]
    replaced = [replacement for sample in found for replacement in sample.replaced]
    assert {NAMES[replacement.source] for replacement in replaced} == {"files"}
    for replacement in replaced:
        assert replacement.key.startswith("files:") and replacement.used_key.startswith("files:")
    assert data.samples_by_source(160) == {"shards": 100, "files": 40, "few": 20}
    assert [sample.key for sample in found] == [dataset(damaged=tuple(range(20)))[i].key for i in range(160)]


@pytest.mark.parametrize(("share", "least", "most"), [(0.0, 0.0, 0.0), (0.3, 0.2, 0.4), (1.0, 1.0, 1.0)])
def test_synthetic_captions_are_drawn_at_their_share(share: float, least: float, most: float) -> None:
    data = PairDataset(mixed(synthetic=True), Bytes(), changed(share), training=True)
    samples = [data[position] for position in range(320)]
    texts = [bytes(s.tokens.tolist()).decode() for s in samples if not s.key.startswith("few:")]
    assert least <= sum("view of" in text for text in texts) / len(texts) <= most
    assert len({text.rpartition(" ")[0] for text in texts}) == {0.0: 3, 0.3: 5, 1.0: 2}[share]  # all of a kind
    few = [bytes(s.tokens.tolist()).decode() for s in samples if s.key.startswith("few:")]
    assert not any("view of" in text for text in few)  # no synthetic ones there: the others are used


def test_validation_reads_the_first_caption_always() -> None:
    data = PairDataset(mixed(synthetic=True), Bytes(), changed(1.0), training=False)
    assert all(bytes(data[i].tokens.tolist()).decode().startswith("first") for i in range(40))


def test_two_sources_of_one_name_are_refused(tmp_path: Path) -> None:
    write_shard(tmp_path / "00000.tar", range(40))
    part = MixturePart(str(tmp_path))
    data = DataRecipe(mixture=(part, replace(part, caption_column="json.alt")), validation_share=0.2)
    with pytest.raises(ValueError, match=r"two sources named .* Give each a name"):
        open_mixture("train", data, 16)
    data = replace(data, mixture=(part, replace(part, caption_column="json.alt", name="alt", weight=2)))
    opened = open_mixture("train", data, 16)
    assert opened.names == (f"{tmp_path.name}/train", "alt/train")
    assert opened[0].captions[0].startswith("caption") and opened[len(opened) - 1].captions[0].startswith("alt text")
    assert opened[len(opened) - 1].key.startswith("alt/train:00000/")


def test_a_source_within_another_is_refused(tmp_path: Path) -> None:
    """Pairs held out of one would be trained on in the other; the same folder twice holds out the same pairs."""
    write_shard(tmp_path / "inside" / "00000.tar", range(40))
    inside, outside = str(tmp_path / "inside"), str(tmp_path)
    data = DataRecipe(mixture=(MixturePart(outside), MixturePart(inside)), validation_share=0.3)
    with pytest.raises(ValueError, match=r"lies in .* another source"):
        open_mixture("train", data, 16)
    data = replace(data, mixture=(MixturePart(inside, name="one"), MixturePart(inside, name="two")))
    splits = [open_mixture(split, data, 16) for split in ("train", "validation")]
    held = [{source[i].key.rpartition("/")[2] for i in range(len(source))} for source in splits]
    assert held[0] and held[1] and not held[0] & held[1]


def test_a_part_alone_keeps_everything_else() -> None:
    part = MixturePart("here", 3, "name", "photo", "words", "said", 0.9)
    data = DataRecipe(mixture=(part, MixturePart("there")), crop_scale=(0.5, 0.9), tokenizer="world")
    (here, there) = data.parts
    assert (here.source, here.image_column, here.caption_column, here.synthetic_column) == (
        "here",
        "photo",
        "words",
        "said",
    )
    assert (here.synthetic_share, there.synthetic_share, there.source) == (0.9, 0.5, "there")
    assert (here.crop_scale, here.tokenizer, here.mixture) == ((0.5, 0.9), "world", ())
    assert DataRecipe(source="alone").parts == (DataRecipe(source="alone"),)


def test_a_recipe_with_a_mixture_is_written_and_read() -> None:
    again = type(changed()).from_json(changed().to_json())
    assert again == changed() and again.data.mixture[0] == MixturePart("shards", 5)
    with pytest.raises(KeyError, match=r"data\.mixture\[0\]\.wieght.*weight"):
        changed().change({"data.mixture": [{"source": "a", "wieght": 2}]})
    with pytest.raises(ValueError, match="leave one empty"):
        changed().change({"data.source": "world:easy", "data.mixture": [{"source": "a"}]})
    alone = changed().change({"data.source": "world:easy"})  # a source that is named takes the mixture's place
    assert (alone.data.source, alone.data.mixture) == ("world:easy", ())
    mixed = alone.change({"data.mixture": [{"source": "a"}]})
    assert (mixed.data.source, len(mixed.data.mixture)) == ("", 1)
    with pytest.raises(ValueError, match="weight = 0"):
        changed().change({"data.mixture": [{"source": "a", "weight": 0}]})


def test_the_command_line_takes_a_file_of_sources(tmp_path: Path) -> None:
    file = tmp_path / "sources.json"
    file.write_text(json.dumps([{"source": "world:easy", "weight": 3}, {"source": "world:rich", "weight": 1}]))
    options = read_command(["--recipe", "tiny", "--data", str(file)], "pretrain")
    assert [(part.source, part.weight) for part in options.recipe.data.mixture] == [
        ("world:easy", 3),
        ("world:rich", 1),
    ]
    assert options.recipe.data.source == ""
    file.write_text("{}")
    with pytest.raises(ValueError, match="must list sources"):
        read_command(["--data", str(file)], "pretrain")
