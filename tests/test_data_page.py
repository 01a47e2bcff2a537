"""The data page's commands and snippets run on small tables of the same schemas, and its mixture is AIMv2's."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import datasets
import pyarrow.parquet as pq
import pytest

from aimv2_lab.data.uids import uid_sum
from aimv2_lab.data.writers import Sample, write_img2dataset
from aimv2_lab.launch.select import run_selection
from aimv2_lab.launch.world import run_world
from tests.data.generated import write_tar
from tests.data.metadata_tables import coyo_table, datacomp_table, recap_table, uid, write_table, write_uid_list
from tests.pages import fenced, run_snippet

PAGE = (Path(__file__).resolve().parents[1] / "docs/data.md").read_text()


def commands(launch: str) -> list[list[str]]:
    """The arguments of every documented call of one of our commands."""
    lines = [line for block in fenced(PAGE, "sh") for line in block.splitlines()]
    start = f"python -m aimv2_lab.launch.{launch} "
    return [shlex.split(line.removeprefix(start)) for line in lines if line.startswith(start)]


@pytest.fixture
def tables(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with small tables at the places that the page names, as the working folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    datacomp = datacomp_table(300)
    write_table(tmp_path / "datacomp/medium/0.parquet", datacomp)
    write_table(tmp_path / "datacomp_1b/metadata/0.parquet", datacomp)
    write_table(tmp_path / "recap/data/train_data/train-0.parquet", recap_table(datacomp))
    write_table(tmp_path / "coyo/data/part-0.parquet", coyo_table(300))
    (tmp_path / "dfn").mkdir()
    write_uid_list(tmp_path / "dfn/datacomp_medium_dfn_20m_inds.npy", datacomp["uid"].to_pylist()[::4])
    return tmp_path


def test_the_selections_run_and_keep_some_rows(tables: Path) -> None:
    assert len(commands("select")) == 4
    for arguments in commands("select"):
        run_selection(arguments)
        folder = tables / arguments[arguments.index("--folder") + 1]
        about = json.loads((folder / "selection.json").read_text())
        assert 20 < about["kept"] <= about["rows"] == 300
        assert bool(about["dropped"]) == (about["kept"] < 300)
    names = pq.read_schema(tables / "dfn/selected/00000.parquet").names
    saved = json.loads(re.findall(r"--save_additional_columns '(.*?)'", PAGE)[0])
    assert {*saved, "url", "text", "face_bboxes"} <= {*names}


def test_the_generated_export_runs(tables: Path) -> None:
    (arguments,) = commands("world")
    run_world(arguments)
    assert len([*(tables / "world_pairs").glob("*.tar")]) == 2
    assert (tables / "world_pairs/planted.jsonl").exists()


def test_the_snippets_run(tables: Path, capsys: pytest.CaptureFixture[str]) -> None:
    captions, what_came_back = fenced(PAGE, "python")
    texts = [f"a picture {number}" for number in range(5)]
    members = {
        uid(row): {
            "json": json.dumps({"uid": uid(row), "sha256": "0"}).encode(),
            "syn.json": json.dumps({"syn_text": texts}).encode(),
        }
        for row in range(300)
    }
    write_tar(tables / "datacompdr/0.tar", members)
    run_snippet(captions, tables)
    join = ["--join", "datacompdr/captions.parquet", "--join-columns", "syn_text"]
    run_selection(["--metadata", "datacomp/medium", "--folder", "described", *join])
    assert pq.read_table(tables / "described/00000.parquet")["syn_text"].to_pylist() == [texts] * 300

    def samples() -> Iterator[Sample]:
        for row in range(10):
            yield Sample(f"{row:09d}", None if row % 3 == 0 else b"jpeg", 8, 8, "text", {"uid": uid(row)})

    (tables / "dfn/shards").mkdir()
    write_img2dataset(tables / "dfn/shards", "00000", samples())
    capsys.readouterr()
    run_snippet(what_came_back, tables)
    expected = uid_sum(uid(row) for row in range(10) if row % 3)
    assert capsys.readouterr().out == f"6 pairs, uid_sum {expected:064x}\n"


def test_the_mixture_draws_what_the_paper_draws() -> None:
    (block,) = fenced(PAGE, "json")
    dfn, coyo, hqitp = json.loads(block)
    shares = [
        part["weight"] * share
        for part in (dfn, coyo, hqitp)
        for share in (1 - part.get("synthetic_share", 0), part.get("synthetic_share", 0))
    ]
    assert [round(share) for share in shares] == [30, 30, 9, 0, 28, 3]
    assert shares == pytest.approx([30, 30, 9, 0, 28, 3], abs=0.01)
    table = re.findall(r"^\| (?:DFN-2B|COYO-700M|HQITP) \|.*?\| (\d+) % \|", PAGE, flags=re.MULTILINE)
    assert [int(share) for share in table] == [30, 30, 9, 28, 3]


def test_no_line_names_a_place_of_ours() -> None:
    assert not re.findall(r"/(?:work|home|tmp|shared)/", PAGE)
