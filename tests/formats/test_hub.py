"""Names on the hub, out of a cache laid out as the hub's library lays it out, without a network."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
from huggingface_hub import constants
from huggingface_hub.utils._paths import filter_repo_objects

from aimv2_lab.formats import hub
from aimv2_lab.formats.export import Format, export_encoder
from aimv2_lab.formats.load import load_encoder, load_preprocessing
from tests.formats.encoders import CROPPED, FIXED, assert_same_weights, wide_encoder

NAME = "apple/aimv2-large-patch14-224"
MAIN, OLD = "a" * 40, "b" * 40


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    """A cache with two revisions: transformers' names on main, Apple's at an older commit, which a tag names."""
    assert constants.HF_HUB_OFFLINE  # tests/conftest.py
    model = tmp_path / "models--apple--aimv2-large-patch14-224"
    revisions: list[tuple[str, Format, int]] = [(MAIN, "transformers", 0), (OLD, "apple", 1)]
    for commit, to, seed in revisions:
        export_encoder(wide_encoder(seed=seed), CROPPED, to, model / "snapshots" / commit)
    (model / "refs").mkdir()
    for ref, commit in (("main", MAIN), ("v1", OLD)):
        (model / "refs" / ref).write_text(commit)
    return tmp_path


@pytest.mark.parametrize(("revision", "seed"), [(None, 0), ("main", 0), ("v1", 1), (OLD, 1)])
def test_a_name_gives_the_revision_asked_for(revision: str | None, seed: int, cache: Path) -> None:
    assert_same_weights(load_encoder(NAME, revision=revision, cache_dir=cache), wide_encoder(FIXED, seed=seed))
    assert load_preprocessing(NAME, revision=revision, cache_dir=cache) == CROPPED


def test_what_is_not_in_the_cache_is_said_with_the_remedy(cache: Path) -> None:
    for name, revision in ((NAME, "v2"), (NAME.lower().replace("large", "huge"), None)):
        with pytest.raises(FileNotFoundError, match=rf"{name}.*no such folder here, and the hub's .*case-sensitive"):
            load_encoder(name, revision=revision, cache_dir=cache)


def test_a_revision_of_something_on_disk_is_refused(cache: Path) -> None:
    folder = cache / "models--apple--aimv2-large-patch14-224/snapshots" / MAIN
    with pytest.raises(ValueError, match="revision = 'v1' is for a name on the hub"):
        load_encoder(folder, revision="v1")


def test_a_folder_comes_before_a_name(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(cache)
    shutil.copytree(cache / "models--apple--aimv2-large-patch14-224/snapshots" / OLD, NAME)
    assert_same_weights(load_encoder(NAME), wide_encoder(FIXED, seed=1))
    assert not hub.is_hub_name(Path("runs/small")) and not hub.is_hub_name("small") and not hub.is_hub_name("/a/b")


def test_only_configuration_and_safetensors_are_fetched(monkeypatch: pytest.MonkeyPatch) -> None:
    there = ["config.json", "model-00001-of-00002.safetensors", "preprocessor_config.json"]
    left = ["modeling_aimv2.py", "pytorch_model.bin", "mlx_model.safetensors", "flax_model.msgpack", "README.md"]
    asked: dict[str, Any] = {}
    monkeypatch.setattr(hub, "snapshot_download", lambda name, **rest: asked.update(rest) or name)
    assert hub.fetched(NAME, revision="v1") == Path(NAME)
    assert asked["revision"] == "v1"
    assert [*filter_repo_objects(there + left, allow_patterns=asked["allow_patterns"])] == there
