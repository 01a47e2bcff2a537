"""Choose the rows of a web-scale metadata table that are worth downloading, before anything is downloaded:

    python -m aimv2_lab.launch.select --metadata coyo/metadata --folder coyo/selected --uid-column id \
        --at-least clip_similarity_vitl14=0.28 --at-most nsfw_score_gantman=0.2 --unique url

The kept rows are Parquet files for img2dataset; selection.json beside them says how they were chosen. An interrupted
selection goes on when the same command is given again. docs/data.md leads from here to shards.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

import tyro

from aimv2_lab.data.select import Selection, select_rows
from aimv2_lab.launch.command import end_plainly


def run_selection(arguments: Sequence[str]) -> None:
    """Select what the arguments ask for, and say how many rows each filter dropped."""
    options = (tyro.conf.UseAppendAction,)
    selection = tyro.cli(Selection, args=arguments, prog="python -m aimv2_lab.launch.select", config=options)
    found = select_rows(selection)
    lines = {"rows": found["rows"]} | {f"  {name}": count for name, count in found["dropped"].items()}
    lines |= {"kept": found["kept"]} | {f"  {name}": count for name, count in found.get("joined", {}).items()}
    for name, count in lines.items():
        print(f"{name:<40} {count:>15,}")
    print(f"{selection.folder}: the uids' sum is {found['uid_sum']}")


def main() -> None:
    """Run the command line."""
    end_plainly(lambda: run_selection(sys.argv[1:]), "the same command goes on from here")


if __name__ == "__main__":
    main()
