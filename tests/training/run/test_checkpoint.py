"""Checkpoints bring back everything, are there whole or not at all, and never unpickle."""

from __future__ import annotations

import errno
import os
import resource
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import get_args

import pytest
import torch

from aimv2_lab.data.files import OLD, WRITING
from aimv2_lab.formats.folder import find_model, load_model, newest_checkpoint
from aimv2_lab.formats.load import load_encoder
from aimv2_lab.model.aimv1 import AIMv1
from aimv2_lab.recipes import OptimizerName, Recipe
from aimv2_lab.training.engine import LocalEngine
from aimv2_lab.training.loop import build_model
from aimv2_lab.training.run.checkpoint import load_checkpoint, save_checkpoint
from aimv2_lab.training.step import loss_counts, train_step
from tests.training.toy import SILENT, SMALL, random_batch


def new_engine(seed: int = 0, recipe: Recipe = SMALL) -> LocalEngine:
    return LocalEngine(build_model(recipe.change({"training.seed": seed})), recipe.training, torch.device("cpu"))


def advance(engine: LocalEngine, steps: int) -> list[float]:
    losses = []
    for _ in range(steps):
        batch = random_batch(engine.steps_done)
        losses.append(train_step(engine, batch, loss_counts(batch, SMALL), SMALL).total.item())
    return losses


@pytest.mark.parametrize("optimizer", get_args(OptimizerName))
def test_resumed_losses_are_bit_equal(tmp_path: Path, optimizer: str) -> None:
    recipe = SMALL.change({"training.optimizer": optimizer, "training.steps": 40})
    engine = new_engine(0, recipe)
    advance(engine, 13)  # past one of SOAP's renewals, and before another
    path = save_checkpoint(tmp_path, engine, {"data_fingerprint": "x"}, kept=2)
    uninterrupted = advance(engine, 12)
    other = new_engine(1, recipe)
    assert load_checkpoint(path, other)["data_fingerprint"] == "x"
    assert advance(other, 12) == uninterrupted


def test_an_aim_v1_run_resumes_and_is_loaded_as_what_it_is(tmp_path: Path) -> None:
    def steps(engine: LocalEngine, count: int) -> list[float]:
        batches = (random_batch(engine.steps_done, SILENT) for _ in range(count))
        return [train_step(engine, batch, loss_counts(batch, SILENT), SILENT).total.item() for batch in batches]

    first, other = (
        LocalEngine(build_model(SILENT.change({"training.seed": seed})), SILENT.training, torch.device("cpu"))
        for seed in (0, 1)
    )
    steps(first, 4)
    path = save_checkpoint(tmp_path, first, {}, kept=2)
    loaded, images = load_model(path), random_batch(0, SILENT).images
    assert isinstance(loaded, AIMv1)
    assert loaded.recipe == SILENT
    torch.testing.assert_close(load_encoder(tmp_path)(images), first.model.encoder(images), rtol=0, atol=0)
    uninterrupted = steps(first, 4)
    load_checkpoint(path, other)
    assert steps(other, 4) == uninterrupted


def test_newest_are_kept_and_found(tmp_path: Path) -> None:
    engine = new_engine()
    for _ in range(4):
        advance(engine, 1)
        save_checkpoint(tmp_path, engine, {}, kept=2)
    assert [path.name for path in sorted((tmp_path / "checkpoints").iterdir())] == ["step-00000003", "step-00000004"]
    newest = newest_checkpoint(tmp_path)
    assert newest is not None
    assert find_model(tmp_path) == newest
    images = random_batch(0).images
    torch.testing.assert_close(load_encoder(tmp_path)(images), engine.model.encoder(images), rtol=0, atol=0)


@contextmanager
def files_of_at_most(size: int) -> Iterator[None]:
    """What a full disk is like: writing past `size` bytes of a file fails."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)


def test_a_full_disk_leaves_the_last_good_checkpoint(tmp_path: Path) -> None:
    engine = new_engine()
    advance(engine, 1)
    good = save_checkpoint(tmp_path, engine, {}, kept=2)
    advance(engine, 1)
    message = r"could not write .*step-00000002.*last good checkpoint is .*step-00000001"
    with files_of_at_most(20_000), pytest.raises(OSError, match=message):
        save_checkpoint(tmp_path, engine, {}, kept=2)
    assert newest_checkpoint(tmp_path) == good
    assert [path.name for path in (tmp_path / "checkpoints").iterdir()] == [good.name]
    load_checkpoint(good, new_engine(1))


def test_a_step_that_is_saved_again_takes_its_own_place(tmp_path: Path) -> None:
    """As where another run's checkpoint of the step was there."""
    save_checkpoint(tmp_path, new_engine(1), {"which": "first"}, kept=2)
    engine = new_engine()
    path = save_checkpoint(tmp_path, engine, {"which": "second"}, kept=2)
    assert [folder.name for folder in path.parent.iterdir()] == [path.name] == ["step-00000000"]
    found = new_engine(2)
    assert load_checkpoint(path, found)["which"] == "second"
    assert all(torch.equal(weight, engine.weights()[name]) for name, weight in found.weights().items())


def test_a_step_that_cannot_be_saved_again_stays_as_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = save_checkpoint(tmp_path, new_engine(), {"which": "first"}, kept=2)
    rename = os.replace

    def refuse_the_new(source: Path, target: Path) -> None:
        if source.name.startswith(WRITING):
            assert source.parent.joinpath(f"{OLD}{path.name}").exists()  # moved, not removed
            raise OSError(errno.EIO, "Input/output error")
        rename(source, target)

    monkeypatch.setattr(os, "replace", refuse_the_new)
    with pytest.raises(OSError, match=rf"Input/output error; the last good checkpoint is .*{path.name}"):
        save_checkpoint(tmp_path, new_engine(), {"which": "second"}, kept=2)
    assert load_checkpoint(path, new_engine())["which"] == "first"
    assert [folder.name for folder in path.parent.iterdir()] == [path.name]


def test_what_a_killed_save_left_is_cleared_by_the_next(tmp_path: Path) -> None:
    engine = new_engine()
    left = [tmp_path / "checkpoints" / name for name in ("writing-step-00000009", "old-step-00000001")]
    for folder in left:
        folder.mkdir(parents=True)
    (tmp_path / "checkpoints" / "step-00000001.bak").mkdir()  # somebody else's: neither counted nor removed
    path = save_checkpoint(tmp_path, engine, {}, kept=1)
    assert newest_checkpoint(tmp_path) == path
    assert {p.name for p in path.parent.iterdir()} == {path.name, "step-00000001.bak"}


def test_a_half_written_folder_is_no_checkpoint(tmp_path: Path) -> None:
    (tmp_path / "checkpoints" / "writing-step-00000009").mkdir(parents=True)
    assert newest_checkpoint(tmp_path) is None
    with pytest.raises(FileNotFoundError, match=r"no checkpoint at .*recipe.json"):
        load_model(tmp_path)


def test_a_damaged_file_is_named(tmp_path: Path) -> None:
    path = save_checkpoint(tmp_path, new_engine(), {}, kept=1)
    with (path / "model.safetensors").open("r+b") as file:
        file.truncate(1000)
    with pytest.raises(ValueError, match=r"model\.safetensors is no readable safetensors file"):
        load_model(tmp_path)
