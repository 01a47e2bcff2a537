"""Write pairs of the generated world to disk, in the layouts of real data sets, with planted damage where wanted:

    python -m aimv2_lab.launch.world --folder world_pairs --world rich --pairs 10000 --layout webdataset \
        --damage.corrupt-image 0.01 --damage.truncated-shards -1

Which pairs are damaged is listed in FOLDER/planted.jsonl. `--help` lists every kind of damage.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

import tyro

from aimv2_lab.data.world.export import PLANTED, WorldExport, export_world
from aimv2_lab.launch.command import end_plainly


def run_world(arguments: Sequence[str]) -> None:
    """Export what the arguments ask for, and say what was written."""
    export = tyro.cli(WorldExport, args=arguments, prog="python -m aimv2_lab.launch.world")
    planted = export_world(export)
    print(f"{export.folder}: {export.pairs} pairs of world:{export.world} in {export.shards} shards, {export.layout}")
    if planted:
        print(f"{planted} damaged on purpose: {export.folder / PLANTED}")


def main() -> None:
    """Run the command line."""
    end_plainly(lambda: run_world(sys.argv[1:]), "clear the folder before you start again")


if __name__ == "__main__":
    main()
