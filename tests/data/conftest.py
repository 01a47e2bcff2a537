from collections.abc import Iterator
from pathlib import Path

import datasets
import pytest

from aimv2_lab.data.tars import walk
from aimv2_lab.data.tars.archive import Member, walk_tar


@pytest.fixture(autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path_factory.mktemp("cache"))
    datasets.disable_progress_bars()


@pytest.fixture
def walked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the shards that are walked."""
    names: list[str] = []

    def noted(tar: Path, shard: Path) -> Iterator[Member]:
        names.append(shard.name)
        return walk_tar(tar, shard)

    monkeypatch.setattr(walk, "walk_tar", noted)
    return names
