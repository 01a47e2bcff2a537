"""Where a full-scale recipe finds its mixture, and how commands end."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
import torch

from aimv2_lab.data.mixture import open_mixture
from aimv2_lab.launch.command import end_plainly, read_command
from aimv2_lab.recipes import Recipe, recipe
from aimv2_lab.recipes.mixtures import AIMV2_MIXTURE
from aimv2_lab.training.optimizers import matrix_methods
from aimv2_lab.training.optimizers.building import check_matrix_optimizer
from tests.data.generated import sample, write_tar

FOLDERS = ("dfn/shards", "coyo/shards", "datacomp_1b/shards")


def folders(root: Path, names: tuple[str, ...]) -> str:
    for name in names:
        (root / name).mkdir(parents=True)
    return str(root)


def data_of(data: str) -> tuple[str, list[str]]:
    known = read_command(["--recipe", "aimv2-large-224", "--data", data], "pretrain").recipe
    assert isinstance(known, Recipe)
    return known.data.source, [part.source for part in known.data.mixture]


def said(error: Exception) -> str:
    """What a command that ends with an error says."""

    def fail() -> None:
        raise error

    with pytest.raises(SystemExit) as stop:
        end_plainly(fail)
    assert isinstance(stop.value.code, str)  # printed, with exit status 1
    assert "\n" not in stop.value.code
    return stop.value.code


def test_a_gpu_without_memory_ends_with_what_to_change(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RANK", "3")
    message = said(
        torch.OutOfMemoryError(
            "CUDA out of memory. Tried to allocate 20.00 GiB. GPU 3 has a total capacity of 79.10 GiB of which 5.06 "
            "GiB is free. Process 7 has 74.03 GiB memory in use.\nOf the allocated 70.00 GiB is by PyTorch"
        )
    )
    start = "rank 3: CUDA out of memory. Tried to allocate 20.00 GiB. GPU 3 has a total capacity of 79.10 GiB of which "
    assert message.startswith(start + "5.06 GiB is free. Lower training.micro_batch_size, raise engine.zero_stage")


def test_a_library_that_is_missing_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(matrix_methods, "SOAP_PACKAGE", "no_such_library")
    soap = recipe("tiny", {"training.optimizer": "soap", "engine.zero_stage": 0})
    with pytest.raises(ImportError) as stop:
        check_matrix_optimizer(soap)
    assert said(stop.value).startswith("ImportError: training.optimizer = 'soap' needs no_such_library: pip install")


def test_a_folder_that_holds_the_mixtures_folders_is_where_it_is_read_from(tmp_path: Path) -> None:
    root = folders(tmp_path, FOLDERS)
    dfn, coyo, datacomp = (f"{root}/{name}" for name in FOLDERS)
    assert data_of(root) == data_of(root + "/") == ("", [dfn, dfn, coyo, datacomp, datacomp])


def test_a_mixture_that_lacks_a_folder_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=re.escape("holds no ./coyo/shards and no ./datacomp_1b/shards beside")):
        data_of(folders(tmp_path, FOLDERS[:1]))


def test_other_data_take_the_mixtures_place_and_that_is_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert data_of(str(tmp_path)) == (str(tmp_path), [])
    assert "is read as one source, in place of the mixture of aimv2-large-224" in capsys.readouterr().err
    assert data_of("world:easy") == ("world:easy", [])


def test_columns_of_one_source_can_be_set_beside_it(tmp_path: Path) -> None:
    options = read_command(
        ["--recipe", "aimv2-large-224", "--data", str(tmp_path), "--data.caption-column", "alt"], "pretrain"
    )
    assert (options.recipe.data.caption_column, options.data) == ("alt", str(tmp_path))


def test_a_placed_mixture_opens_and_draws_alt_texts_and_synthetic_captions_apart(tmp_path: Path) -> None:
    for name in FOLDERS:
        texts = {"json": json.dumps({"re_caption": "described"}).encode(), "txt": b"alt text"}
        write_tar(tmp_path / name / "00000.tar", {f"{number:08d}": sample(number) | texts for number in range(40)})
    options = read_command(["--recipe", "aimv2-large-224", "--data", str(tmp_path)], "pretrain")
    mixed = open_mixture("train", options.recipe.data, 224)
    assert mixed.weights == tuple(part.weight for part in AIMV2_MIXTURE)
    for number, part in enumerate(AIMV2_MIXTURE):
        pair = mixed.pair(number, 0)
        assert pair.key.startswith(f"{part.name}/train:")
        assert (pair.captions, pair.synthetic) == (("alt text",), ("described",) * bool(part.synthetic_share))
