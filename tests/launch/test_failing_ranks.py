"""What goes wrong on one of two ranks ends both, with one message from the first."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from aimv2_lab.training.run.folder import read_metrics
from aimv2_lab.training.run.stopping import STOPPED
from tests.ranks import made_once, run, torchrun

MESSAGES = {
    "undivided": r"training.batch_size = 8 cannot be cut into 2 ranks x .* choose training.micro_batch_size = 4",
    "recipes": r"the ranks disagree on the recipe: \w+ on rank 0; \w+ on rank 1\. Give every node the same",
    "data": r"the ranks disagree on ",
    "missing": r"1 of 2 ranks failed: rank 1 on .*: FileNotFoundError: data.source 'no/such/folder/here': no such",
    "code": r"the ranks disagree on the code of aimv2_lab: ours on rank 0; other on rank 1",
    "tokenizers": r"the ranks disagree on the tokenizer: \w+ on rank 0; \w+ on rank 1",
    "refused": r"engine\.deepspeed = .*json' is refused by DeepSpeed: zero_optimization: reduce_bucket = 5: Extra",
    "no state": r"step-00000002/state\.json is no part .* No such file .* Remove .*step-00000002 to go on from the one",
    "old state": r"state\.json is no part of a checkpoint that this version can go on from: it has no number of steps",
    "torn weights": r"model\.safetensors is no readable safetensors file .* use an earlier checkpoint",
    "half the weights": r"model\.safetensors is no part .*: the weight of .* and of \d+ more is absent .* Remove",
    "no optimizer": r"optimizer\.safetensors is no part .* No such file",
    "half the optimizer": r"optimizer\.safetensors is no part .*: the state of .* is absent or not the model's",
    "full disk": r"could not write .*step-00000004: .*No space left on device; the last good .*step-00000002",
    "unreadable": r"1 of 2 ranks failed: rank 1 on .*: OSError: .*Input/output error",
    "unreadable held-out pairs": r"1 of 2 ranks failed: rank 1 on .*: OSError: .*Input/output error",
    "full disk for metrics": r"rank 0 on .*: OSError: could not write to .*metrics\.jsonl or tensorboard .*No space",
    "hot": r"FloatingPointError: step \d: .* not finite; the pairs of this step are .*, .* Start again with a lower",
    "jumpy": r"FloatingPointError: step \d+: loss .* more than training\.loss_limit = 1\.05 times .* Look at the pairs",
}


def make(folder: Path) -> None:
    done = run(torchrun("tests.launch.failing_ranks", str(folder)))
    assert done.status == 0, done.err


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return made_once(tmp_path_factory, "failing_ranks", make)


@pytest.mark.parametrize("case", MESSAGES)
def test_the_first_rank_says_what_to_do_and_both_end(case: str, folder: Path) -> None:
    first, second = (json.loads((folder / f"{rank}.json").read_text())[case] for rank in (0, 1))
    assert re.search(MESSAGES[case], first), first
    assert "\n" not in first
    assert second == 1


def test_nothing_is_written_by_a_run_that_cannot_begin(folder: Path) -> None:
    for case in ("undivided", "recipes", "data", "missing", "code", "tokenizers", "refused"):
        assert not (folder / case).exists()


def test_a_full_disk_leaves_the_last_good_checkpoint(folder: Path) -> None:
    assert [path.name for path in (folder / "full disk" / "checkpoints").iterdir()] == ["step-00000002"]


def test_told_to_stop_before_its_first_step_a_run_goes_on_as_any_other(folder: Path) -> None:
    ends = [json.loads((folder / f"{rank}.json").read_text()) for rank in (0, 1)]
    assert [end["stopped"] for end in ends] == [STOPPED, STOPPED]
    assert [end["stopped before the first step"] for end in ends] == [None, None]
    found, expected = (
        [row["total"] for row in read_metrics(folder / case)] for case in ("stopped before the first step", "good")
    )
    assert found == expected


def test_the_rank_that_waits_most_for_its_data_is_seen_from_the_first(folder: Path) -> None:
    """The first one's own part is read at once; it waits for the other."""
    straggling, good = (
        read_metrics(folder / case, "train")[-1]["data_waiting_share"] for case in ("straggler", "good")
    )
    assert 0 < good < 0.5 < straggling < 1


def test_the_pairs_of_all_ranks_are_named(folder: Path) -> None:
    """Eight pairs are a whole batch here."""
    message = json.loads((folder / "0.json").read_text())["hot"]
    keys = re.search(r"the pairs of this step are (.*)\. The newest checkpoint from before is .*step-0", message)
    assert keys
    assert len(set(keys[1].split(", "))) == 8
