"""Pairs chosen by the numbers that an index keeps of them."""

import time
import warnings
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from aimv2_lab.data.columns import MissingColumn
from aimv2_lab.data.mixture import open_mixture
from aimv2_lab.data.row_filters import passing, threshold
from aimv2_lab.data.tars.indexing import build_index
from aimv2_lab.launch.command import read_command
from aimv2_lab.recipes import DataRecipe, MixturePart, recipe
from tests.data.generated import sample, write_image_folder, write_tar
from tests.data.layouts import arrow_layout, numbers, opened, pictures, write_parquet
from tests.data.tars.indexes import as_json


def scored(folder: Path, count: int = 12, shards: int = 3) -> Path:
    """Shards whose pair n has the score n / 10 and the width 100 n, but for every fifth, which has neither."""
    for shard in range(shards):
        members = {f"{n:04d}": sample(n) for n in range(shard, count, shards)}
        for key, each in members.items():
            about = {"score": int(key) / 10, "width": 100 * int(key)} if int(key) % 5 else {}
            each["json"] = as_json(about)
        write_tar(folder / f"{shard}.tar", members)
    build_index(folder, ["score", "width"])
    return folder


@pytest.mark.filterwarnings("ignore:.* are left out")
@pytest.mark.parametrize(
    ("at_least", "at_most", "kept"),
    [
        (("score=0.4",), (), [6, 9, 4, 7, 8, 11]),
        ((), ("width=400",), [3, 1, 4, 2]),
        (("score=0.3", "width=400"), ("score=0.8",), [6, 4, 7, 8]),
        (("score=-1e9",), (), [3, 6, 9, 1, 4, 7, 2, 8, 11]),
    ],
)
def test_pairs_outside_the_limits_or_without_a_number_are_left_out(
    at_least: tuple[str, ...], at_most: tuple[str, ...], kept: list[int], tmp_path: Path
) -> None:
    source = opened(scored(tmp_path), validation_share=0.0, at_least=at_least, at_most=at_most)
    assert numbers(source) == kept
    assert sum(source.shards) == len(source) == len(kept)


@pytest.mark.filterwarnings("ignore:.* are left out")
def test_limits_choose_within_a_split_and_within_its_files(tmp_path: Path) -> None:
    scored(tmp_path / "held", 60)
    for split in ("train", "validation"):
        whole = opened(tmp_path / "held", split, validation_share=0.4)
        some = opened(tmp_path / "held", split, validation_share=0.4, at_least=("score=2",))
        assert numbers(some) == [n for n in numbers(whole) if n >= 20 and n % 5]
        assert some.fingerprint != whole.fingerprint
    scored(tmp_path / "named" / "train", 6)
    scored(tmp_path / "named" / "val", 9)
    build_index(tmp_path / "named", ["score"])
    assert numbers(opened(tmp_path / "named", "validation", at_least=("score=0.4",))) == [6, 4, 7, 8]


def test_how_many_are_left_out_is_told(tmp_path: Path) -> None:
    scored(tmp_path)
    with pytest.warns(UserWarning, match=r"7 of 12 pairs are left out \(not score >= 0.4: 6, not width <= 900: 1\)"):
        opened(tmp_path, validation_share=0.0, at_least=("score=0.4",), at_most=("width=900",))
    write_tar(tmp_path / "whole" / "a.tar", {"0": sample(0) | {"json": b'{"score": 1}'}})
    build_index(tmp_path / "whole", ["score"])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert len(opened(tmp_path / "whole", validation_share=0.0, at_least=("score=1",))) == 1


@pytest.mark.filterwarnings("ignore:.* are left out")
def test_limits_that_leave_nothing_and_bad_ones_are_refused(tmp_path: Path) -> None:
    scored(tmp_path)
    with pytest.raises(ValueError, match=r"none of 0 pairs within data.at_least and data.at_most \(of 12\)"):
        opened(tmp_path, validation_share=0.0, at_least=("score=99",))
    with pytest.raises(ValueError, match="is no threshold: write COLUMN=NUMBER"):
        opened(tmp_path, at_most=("score<3",))
    with pytest.raises(MissingColumn, match=r"columns score, width, not clip: run .* --columns score,width,clip"):
        opened(tmp_path, at_least=("clip=0.3",))


def image_folder(folder: Path) -> str:
    return str(write_image_folder(folder, [{"file_name": "0.png", "text": "caption 0", "score": 1}]))


def parquet(folder: Path) -> str:
    return str(write_parquet(folder / "a.parquet", pictures([0]) | {"score": [1.0]}))


def arrow(folder: Path) -> str:
    arrow_layout(folder, "train", [0, 1])
    return str(folder)


def test_limits_are_named_on_the_command_line() -> None:
    data = read_command(["--data", "a", "--data.at-least", "width=224", "height=9", "--data.at-most", "nsfw=0.1"], "x")
    assert data.recipe.data.at_least == ("width=224", "height=9") and data.recipe.data.at_most == ("nsfw=0.1",)


@pytest.mark.parametrize("spec", [image_folder, parquet, arrow, lambda _: "world:easy"])
def test_data_without_an_index_have_no_limits(spec: Callable[[Path], str], tmp_path: Path) -> None:
    place = spec(tmp_path / "data")
    opened(place, validation_share=0.0)
    with pytest.raises(ValueError, match=r"data.at_least = \('score=1',\).* is no such data"):
        opened(place, at_least=("score=1",))


@pytest.mark.filterwarnings("ignore:.* are left out")
def test_every_source_of_a_mixture_has_limits_of_its_own(tmp_path: Path) -> None:
    scored(tmp_path / "a"), scored(tmp_path / "b")
    parts = [
        {"source": str(tmp_path / "a"), "at_least": ["score=0.4"]},
        {"source": str(tmp_path / "b"), "at_most": ["score=0.4", "width=250"]},
    ]
    changes = {"data.source": "", "data.mixture": parts, "data.validation_share": 0.0}
    mixed = open_mixture("train", recipe("tiny", changes).data, 16)
    assert [numbers(part) for part in mixed.parts] == [[6, 9, 4, 7, 8, 11], [1, 2]]
    with pytest.raises(ValueError, match="limits of its own"):
        DataRecipe(mixture=(MixturePart("a"),), at_least=("score=1",))
    with pytest.raises(ValueError, match=r"at_least = 'score=1'; it must be of type tuple"):
        recipe("tiny", {"data.at_least": "score=1"})


def test_ten_million_rows_take_less_than_a_second() -> None:
    table = pa.table({"score": np.random.default_rng(0).uniform(size=10_000_000)})
    counts = Counter[str]()
    start = time.process_time()
    kept = passing(table, [threshold("score=0.25", True)], counts)
    assert time.process_time() - start < 1
    assert np.count_nonzero(kept) + counts["not score >= 0.25"] == 10_000_000 and 0.7 < kept.mean() < 0.8
