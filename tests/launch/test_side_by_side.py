"""Variants side by side: each job once, in order, and the ablations' and the scaling study's jobs."""

from __future__ import annotations

import json
import os
from multiprocessing import active_children
from pathlib import Path

import pytest

from aimv2_lab.evaluation.ablations.measuring import MEASURES, measured_as
from aimv2_lab.evaluation.ablations.tables import ABLATIONS
from aimv2_lab.evaluation.ablations.variants import MANY, VARIANTS, Variant
from aimv2_lab.evaluation.scaling.cells import CELLS
from aimv2_lab.fields import UnknownName
from aimv2_lab.launch import ablate, scale
from aimv2_lab.launch.side_by_side import FIRST_SEEDS, VariantJob, _end_with, jobs_of, run_side_by_side
from aimv2_lab.report.stored import load_result


def finished(job: VariantJob, runs: Path) -> None:
    """A run that has been measured; untrained, because those have no recipe beside them."""
    folder = job.folder(runs)
    folder.mkdir(parents=True)
    found = {"losses": {}, "scores": {}, "measured_as": measured_as(job.variant, job.seed), "seconds": float(job.seed)}
    (folder / MEASURES).write_text(json.dumps(found))


def untrained(seeds: int) -> Variant:
    return Variant(VARIANTS["aimv2"].recipe, seeds, trained=False)


def test_all_variants_of_a_seed_come_before_the_next_seed() -> None:
    jobs = jobs_of({"few": untrained(1), "many": untrained(3)}, "report")
    assert [(job.name, job.seed) for job in jobs] == [("few", 11), ("many", 11), ("many", 12), ("many", 13)]
    sets = [{job.seed for job in jobs_of(VARIANTS, seeds)} for seeds in FIRST_SEEDS]
    assert len(set.union(*sets)) == sum(map(len, sets)) == 3 * MANY


def test_finished_runs_are_read_in_order_and_a_failing_one_ends_the_command(tmp_path: Path) -> None:
    jobs = jobs_of({"one": untrained(2), "other": untrained(2)}, "report")
    for job in jobs:
        finished(job, tmp_path)
    found = run_side_by_side(jobs, tmp_path, 2)
    assert [(value["variant"], value["seed"], value["seconds"]) for value in found] == [
        ("one", 11, 11.0),
        ("other", 11, 11.0),
        ("one", 12, 12.0),
        ("other", 12, 12.0),
    ]
    trained = VariantJob("one", Variant(VARIANTS["aimv2"].recipe), 11)  # of which no recipe lies there
    with pytest.raises(FileNotFoundError):
        run_side_by_side([trained], tmp_path, 1)


def test_a_process_ends_with_the_command_that_began_it() -> None:
    ended: list[int] = []
    _end_with(os.getppid() + 1, ended.append)
    assert ended == [1]


def test_tables_share_their_runs() -> None:
    every = ablate.jobs_of_tables(list(ABLATIONS), "report")
    assert len(every) == len({(job.name, job.seed) for job in every}) == sum(v.seeds for v in VARIANTS.values())
    some = ablate.jobs_of_tables(["decoders", "decoder-width"], "pilot")
    assert {job.name for job in some} == {"aimv2", "separate-decoders", "decoder-width-48", "decoder-width-144"}
    assert "decoder-depth" in ablate.table_list() and f"in all {len(every)} runs" in ablate.table_list()
    with pytest.raises(UnknownName, match="decoder-width"):
        ablate.jobs_of_tables(["decoder-widht"], "report")


def test_some_tables_are_stored_beside_their_runs_and_what_is_asked_again_under_its_own_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        ablate, "run_side_by_side", lambda jobs, *_: [{"variant": j.name, "seconds": 1.0} for j in jobs]
    )
    monkeypatch.setattr(ablate, "with_early_curves", lambda values, _: values)
    monkeypatch.setattr(ablate, "FOLDER", tmp_path / "package")
    some = ablate.AblateOptions("decoders", runs=tmp_path / "runs")
    assert ablate.ablate(some, "command").parent == tmp_path / "runs"
    again = ablate.AblateOptions("decoders", "again", tmp_path / "runs")
    assert ablate.ablate(again, "command") == tmp_path / "package" / "ablations_again.json"
    whole = ablate.AblateOptions(runs=tmp_path / "runs")
    assert ablate.ablate(whole, "command").parent == tmp_path / "package"
    assert load_result("ablations", tmp_path / "package").seconds == len(
        load_result("ablations", tmp_path / "package").values
    )


def test_scaling_stores_what_each_cell_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def measured(jobs: list[VariantJob], *_: object) -> list[dict[str, object]]:
        return [{"variant": job.name, "seed": job.seed, "seconds": 2.0} for job in jobs]

    monkeypatch.setattr(scale, "run_side_by_side", measured)
    monkeypatch.setattr(scale, "FOLDER", tmp_path)
    assert scale.scale(scale.ScaleOptions(), "command").parent == tmp_path
    values = load_result("scaling", tmp_path).values
    assert len(values) == 3 * len(CELLS) == 48
    for value in values:
        cell = CELLS[value["variant"]]
        assert (value["parameters"], value["samples"]) == (cell.parameters, cell.samples)
    sizes, samples = ({value[name] for value in values} for name in ("parameters", "samples"))
    assert len(sizes) == len(samples) == 4


def test_the_first_failure_ends_runs_that_have_begun(tmp_path: Path) -> None:
    # A run of minutes beside one that fails at once: without an end to it, this test would take as long.
    long = VariantJob("long", Variant(VARIANTS["aimv2"].recipe.change({"training.steps": 100_000})), 1)
    failing = VariantJob("failing", Variant(VARIANTS["aimv2"].recipe), 1)
    finished(failing, tmp_path)  # measures without a recipe
    with pytest.raises(FileNotFoundError):
        run_side_by_side([long, failing], tmp_path, 2)
    for child in active_children():
        child.join(timeout=60)
    assert not active_children()
    assert not (long.folder(tmp_path) / MEASURES).exists()
