"""The probing command: an encoder and labelled pictures in, scores and a figure out, plain errors."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import matplotlib.pyplot as plt
import numpy as np
import pytest
from PIL import Image

from aimv2_lab.data.sources import Split
from aimv2_lab.evaluation.probing.cache import PATCH_COUNTS
from aimv2_lab.evaluation.probing.results import ProbeScores
from aimv2_lab.launch.probe import read_options, run_probe
from aimv2_lab.recipes.probe_sets import PROBE_SETS, ProbeSet, probe_set
from aimv2_lab.report.probe_results import FIGURE, SCORES
from tests.data.generated import encoded, picture, write_image_folder, write_tar
from tests.data.layouts import write_parquet
from tests.native_toy import NATIVE
from tests.training.finetune_toy import checkpoint

QUICK = ("--epochs", "2", "--batch-size", "8", "--learning-rates", "1e-3", "1e-2")
Layout = Literal["folder", "parquet", "tar"]


@pytest.fixture(autouse=True)
def _figures_are_closed() -> Iterator[None]:
    yield
    plt.close("all")


@pytest.fixture(scope="module")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return checkpoint(tmp_path_factory.mktemp("encoder") / "model")


def write_split(root: Path, split: str, layout: Layout, labels: list[str]) -> None:
    """Pictures of one split, each with its label."""
    if layout == "folder":
        write_image_folder(root / split, [{"file_name": f"{n}.png", "label": label} for n, label in enumerate(labels)])
    elif layout == "parquet":
        images: list[object] = [{"bytes": encoded(picture(n)), "path": None} for n in range(len(labels))]
        write_parquet(root / f"{split}-00000.parquet", {"image": images, "label": labels})
    else:
        samples = {f"{n:08d}": {"png": encoded(picture(n)), "cls": label.encode()} for n, label in enumerate(labels)}
        write_tar(root / f"{split}-00000.tar", samples)


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twenty-four for training, six for validation and four for the test, of two species."""
    folder = tmp_path_factory.mktemp("pictures")
    for split, number in (("train", 24), ("val", 6), ("test", 4)):
        write_split(folder, split, "folder", [("owl", "cat")[n % 2] for n in range(number)])
    return folder


def probe(encoder: Path, data: Path | str, out: Path, *more: str) -> tuple[ProbeScores, dict[str, Any]]:
    named = ["--encoder", str(encoder), "--data", str(data), "--out", str(out), "--features", str(out / "features")]
    found = run_probe(*read_options([*named, *QUICK, *more]))
    return found, json.loads((out / SCORES).read_text())


def test_the_command_writes_scores_and_a_figure(encoder: Path, pictures: Path, tmp_path: Path) -> None:
    named = ["--encoder", str(encoder), "--data", str(pictures), "--out", str(tmp_path / "o")]
    program = [sys.executable, "-m", "aimv2_lab.launch.probe", *named, "--features", str(tmp_path / "f"), *QUICK]
    done = subprocess.run([*program, "--seeds", "0", "1"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("class (2 classes)  validation: top-1 ")
    written = json.loads((tmp_path / "o" / SCORES).read_text())
    assert written["command"].endswith("--seeds 0 1") and written["recipe"]["epochs"] == 2
    top1 = written["scores"]["tasks"][0]["by_test"]["validation"]["top1"]
    assert len(top1["values"]) == 2 and top1["mean"] == pytest.approx(sum(top1["values"]) / 2)
    assert np.asarray(Image.open(tmp_path / "o" / FIGURE)).std() > 0
    with pytest.raises(FileExistsError, match="holds a result already: name another --out"):
        run_probe(*read_options(named))


@pytest.mark.parametrize("name", ["attentive", "linear", "neighbours", "paper"])
def test_every_probe_runs_by_name(name: str, encoder: Path, pictures: Path, tmp_path: Path) -> None:
    found, written = probe(encoder, pictures, tmp_path, "--probe", name, "--neighbours", "3", "--test", "test")
    assert found.pictures["test"] == 4 and list(found.tasks[0].by_test) == ["test"]
    assert written["recipe"]["augmented"] == (name == "paper")


def test_aim_v1s_probe_wants_six_blocks_or_named_ones(encoder: Path, pictures: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"layers = \[-6, -5, -4\]: this encoder has 0 .* … 2"):
        probe(encoder, pictures, tmp_path, "--probe", "aim-v1")
    _, written = probe(encoder, pictures, tmp_path, "--probe", "aim-v1", "--layers", "1", "2")
    assert written["recipe"]["layers"] == [1, 2] and not written["recipe"]["normed"]


def test_of_a_generated_world_every_factor_is_probed_and_held_out_combinations_apart(
    encoder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("aimv2_lab.data.world.source.LENGTHS", {"train": 64, "validation": 40, "heldout": 40})
    found, written = probe(encoder, "world:easy:64", tmp_path, "--probe", "linear")
    assert found.pictures == {"held out": 6, "train": 58, "seen combinations": 40, "held-out combinations": 40}
    assert len(found.tasks) >= 10
    assert set(written["groups"]["held-out combinations"]) == {"P", "T", "PT", "R", "mean"}


def test_several_sources_are_read_whole(encoder: Path, tmp_path: Path) -> None:
    for name in ("first", "second"):
        write_split(tmp_path / name, "train", "parquet", ["owl", "cat"] * 6)
        write_split(tmp_path / name, "validation", "parquet", ["owl", "cat"])
    listed = [{"source": str(tmp_path / name), "weight": weight} for name, weight in (("first", 1), ("second", 9))]
    (tmp_path / "both.json").write_text(json.dumps(listed))
    found, _ = probe(encoder, tmp_path / "both.json", tmp_path / "out", "--probe", "neighbours", "--neighbours", "3")
    assert found.pictures == {"train": 24, "validation": 4}
    with pytest.raises(ValueError, match="name their columns there"):
        probe(encoder, tmp_path / "both.json", tmp_path / "other", "--label-column", "label")


# Sets of each layout and with each kind of test split, small enough to be written here with all of their classes.
SMALL_SETS: tuple[tuple[str, Layout], ...] = (
    ("pets", "folder"), ("dtd", "parquet"), ("eurosat", "tar"), ("camelyon17", "tar"), ("food-101", "parquet")
)  # fmt: skip


@pytest.mark.parametrize(("name", "layout"), SMALL_SETS)
def test_sets_of_table_b1_run_by_name(
    name: str, layout: Layout, encoder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    known = probe_set(name)
    labels = [f"class {number}" for number in range(known.classes)]
    splits: tuple[Split, ...] = (*known.trained_on, known.tested_on)
    for split in known.trained_on:
        write_split(tmp_path, split, layout, 2 * labels)
    trained = 2 * known.classes * len(known.trained_on)
    write_split(tmp_path, known.tested_on, layout, labels)
    found, written = probe(encoder, tmp_path, tmp_path / "out", "--set", name, "--probe", "linear")
    assert found.tasks[0].classes == known.classes and list(found.tasks[0].by_test) == [known.tested_on]
    assert f"{trained} of {known.train} training pictures" in capsys.readouterr().out
    assert written["set"]["name"] == name
    more_classes = tmp_path / "more_classes"
    for one in splits:
        write_split(more_classes, one, layout, [*labels[1:], "another", "class 0"])
    with pytest.raises(ValueError, match=f"{name} has {known.classes} classes"):
        probe(encoder, more_classes, tmp_path / "other", "--set", name)


def test_a_sets_test_is_never_made_by_a_hash(encoder: Path, tmp_path: Path) -> None:
    write_split(tmp_path, "train", "folder", 40 * ["class 0", "class 1"])
    with pytest.raises(ValueError, match=r"is in the validation split .* name files after their splits"):
        probe(encoder, tmp_path, tmp_path / "out", "--set", "camelyon17", "--probe", "neighbours")


def test_the_fourteen_sets_are_table_b1s() -> None:
    assert len(PROBE_SETS) == 14 and all(name == known.name for name, known in PROBE_SETS.items())
    assert sum(known.train for known in PROBE_SETS.values()) == 2_644_292  # the table's columns added up
    assert sum(known.test for known in PROBE_SETS.values()) == 251_689
    assert sum(known.classes for known in PROBE_SETS.values()) == 11_193
    options, known = read_options(["--encoder", "e", "--data", "d", "--set", "imagenet-1k", "--probe", "paper"])
    assert known == PROBE_SETS["imagenet-1k"] and options.test == "validation"
    assert (options.recipe.batch_size, options.recipe.warmup_epochs, options.recipe.augmented) == (1024, 5, True)
    others = [known.recipe(options.recipe) for name, known in PROBE_SETS.items() if name != "imagenet-1k"]
    assert all((recipe.batch_size, recipe.warmup_epochs) == (512, 0) for recipe in others)


def test_deepspeeds_launcher_may_add_its_rank() -> None:
    named = ["--encoder", "e", "--data", "d", "--probe", "paper"]
    assert read_options([*named, "--local_rank", "1"]) == read_options(named)


@pytest.mark.parametrize("known", PROBE_SETS.values(), ids=list(PROBE_SETS))
def test_another_number_of_classes_is_refused(known: ProbeSet) -> None:
    known.check(known.classes)
    with pytest.raises(ValueError, match=f"{known.name} has {known.classes} classes"):
        known.check(known.classes + 1)


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (("--label-column", "kind"), "no label column kind"),
        (("--probe", "linaer"), "did you mean linear"),
        (("--set", "pet"), "did you mean pets"),
        (("--layers", "9"), r"layers = \[9\]"),
    ],
)
def test_bad_input_is_named(more: tuple[str, ...], message: str, encoder: Path, pictures: Path, tmp_path: Path) -> None:
    with pytest.raises((ValueError, KeyError), match=message):
        probe(encoder, pictures, tmp_path, *more)


def test_a_label_that_training_pictures_lack_is_named(encoder: Path, tmp_path: Path) -> None:
    write_split(tmp_path, "train", "folder", ["owl", "cat"] * 5)
    write_split(tmp_path, "val", "folder", ["owl", "dog"])
    with pytest.raises(ValueError, match="unknown class 'dog'"):
        probe(encoder, tmp_path, tmp_path / "out", "--probe", "linear")


def test_no_test_pictures_are_trained_on_and_a_world_has_no_test_split(
    encoder: Path, pictures: Path, tmp_path: Path
) -> None:
    with pytest.raises(ValueError, match="test = 'test' of world:easy:20"):
        probe(encoder, "world:easy:20", tmp_path / "a", "--test", "test")
    with pytest.raises(ValueError, match=r"test = 'validation': those pictures are trained on \(train, validation\)"):
        probe(encoder, pictures, tmp_path / "b", "--set", "dtd", "--test", "validation")


@pytest.fixture(scope="module")
def native(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return checkpoint(tmp_path_factory.mktemp("native") / "model", NATIVE)


def write_many_sizes(root: Path, split: str, number: int) -> None:
    """Pictures of many sizes of one split, of two species."""
    write_split(root, split, "folder", [("owl", "cat")[n % 2] for n in range(number)])
    for n in range(number):
        (root / split / f"{n}.png").write_bytes(encoded(picture(n, 16 + 7 * (n * 5 % 8), 16 + 7 * (n * 3 % 8))))


@pytest.mark.parametrize("name", ["attentive", "linear", "neighbours"])
def test_a_native_encoder_is_probed_on_pictures_of_their_own_sizes(name: str, native: Path, tmp_path: Path) -> None:
    for split, number in (("train", 24), ("val", 6)):
        write_many_sizes(tmp_path, split, number)
    found, _ = probe(native, tmp_path, tmp_path / "own", "--probe", name, "--neighbours", "3")
    assert found.pictures["validation"] == 6 and not found.damaged
    counts = [np.load(file) for file in (tmp_path / "own").glob(f"features/*/{PATCH_COUNTS}")]
    assert len(counts) == (3 if name == "attentive" else 0) and all(len({*one}) > 1 for one in counts)
    probe(native, tmp_path, tmp_path / "cut", "--probe", name, "--neighbours", "3", "--image-size", "16")
    assert not [*(tmp_path / "cut").glob(f"features/*/{PATCH_COUNTS}")]


def test_a_native_encoder_sees_scenes_in_the_area_of_its_own_size(
    native: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("aimv2_lab.data.world.source.LENGTHS", {"train": 40, "validation": 30, "heldout": 30})
    probe(native, "world:oblong:40", tmp_path)
    counts = np.concatenate([np.load(file) for file in tmp_path.glob(f"features/*/{PATCH_COUNTS}")])
    assert len(counts) == 100 and len({*counts}) > 1 and counts.mean() == pytest.approx((24 / 8) ** 2, rel=0.2)


@pytest.mark.parametrize("more", [("--probe", "paper"), ("--probe", "aim-v1", "--layers", "1"), ("--augmented",)])
def test_augmented_probes_of_a_native_encoder_want_one_size(
    more: tuple[str, ...], native: Path, tmp_path: Path
) -> None:
    write_many_sizes(tmp_path, "train", 24)
    write_many_sizes(tmp_path, "val", 6)
    with pytest.raises(ValueError, match="Name one with --image-size"):
        probe(native, tmp_path, tmp_path / "own", *more)
    assert probe(native, tmp_path, tmp_path / "cut", *more, "--image-size", "16")[0].pictures["validation"] == 6
