"""The command keeps the rows asked for and says what each filter dropped; bad input ends with one line."""

import sys
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from aimv2_lab.launch.select import main
from tests.data.metadata_tables import coyo_table, write_table


def select(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> None:
    monkeypatch.setattr(sys, "argv", ["select", *arguments])
    main()


def test_the_command_counts_what_every_filter_dropped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    table = coyo_table(300)
    source = str(write_table(tmp_path / "coyo.parquet", table))
    limits = ["--at-least", "clip_similarity_vitl14=0.25", "--at-most", "nsfw_score_gantman=0.3"]
    more = ["--at-most", "watermark_score=0.8", "--unique", "url", "--unique", "image_phash"]
    select(monkeypatch, "--metadata", source, "--folder", str(tmp_path / "kept"), "--uid-column", "id", *limits, *more)
    kept = pq.read_table(tmp_path / "kept" / "00000.parquet").to_pylist()
    assert kept and max(row["watermark_score"] for row in kept) <= 0.8 < max(table["watermark_score"].to_pylist())
    lines = capsys.readouterr().out.splitlines()
    words = [line.rsplit(maxsplit=1) for line in lines[:-1]]
    counts = {name.strip(): int(count.replace(",", "")) for name, count in words}
    assert counts["rows"] == 300 and counts["kept"] == len(kept)
    assert "not watermark_score <= 0.8" in counts and "equal image_phash" in counts
    assert sum(counts.values()) - 300 == 300


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--uid-column", "uid"], "MissingColumn: .*coyo.parquet has no column uid; found: id, url"),
        (["--uid-column", "id", "--at-most", "watermark_score=-1"], "ValueError: no row is left"),
        (["--uid-column", "id", "--uids", "nowhere.npy"], "FileNotFoundError: .*nowhere.npy"),
    ],
)
def test_bad_input_ends_with_one_line(
    arguments: list[str], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = str(write_table(tmp_path / "coyo.parquet", coyo_table(30)))
    with pytest.raises(SystemExit, match=message) as ended:
        select(monkeypatch, "--metadata", source, "--folder", str(tmp_path / "kept"), *arguments)
    assert "\n" not in str(ended.value)
