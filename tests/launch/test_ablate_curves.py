"""The stored ablations say how their runs began, where a band can be made of them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from aimv2_lab.launch.ablate import with_early_curves


def test_only_the_beginning_of_variants_with_many_seeds_is_kept(tmp_path: Path) -> None:
    for name in ("aimv2-1", "clip-1"):
        (tmp_path / name).mkdir()
        records = [{"kind": "train", "step": step, "pixel": 1 / step, "text": 2 / step} for step in range(10, 400, 10)]
        (tmp_path / name / "metrics.jsonl").write_text("".join(json.dumps(record) + "\n" for record in records))
    runs: list[dict[str, Any]] = [{"variant": name, "seed": 1, "losses": {}} for name in ("aimv2", "clip", "untrained")]
    aimv2, clip, untrained = with_early_curves(runs, tmp_path)
    assert aimv2["losses"] == {} and aimv2["curves"]["step"] == [float(step) for step in range(10, 201, 10)]
    assert aimv2["curves"]["text"][1] == 0.1
    assert "curves" not in clip and "curves" not in untrained
