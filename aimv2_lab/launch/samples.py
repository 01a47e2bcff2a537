"""Write the generated sample pairs in three layouts:  python -m aimv2_lab.launch.samples [--folder data_samples]

The same scenes come as Parquet, as a WebDataset shard and as an image folder. The files are the same to the byte
whenever they are written: no times, no random order, one JPEG setting. (Another version of Pillow or pyarrow may
encode differently; constraints.txt pins both.)
"""

from __future__ import annotations

from pathlib import Path

import tyro

from aimv2_lab.data.world.samples import QUALITY, world_sample
from aimv2_lab.data.writers import write_imagefolder, write_parquet, write_webdataset

PRESET, SIZE = "rich", 64
SAMPLES = {"train": 192, "validation": 64}
_SEED = 1  # scenes of their own: not the ones that WorldSource begins with

_COUNTS = " and ".join(f"{count} {split}" for split, count in SAMPLES.items())
README = f"""# Sample pairs

{_COUNTS} pairs of a picture and its texts, from this project's generated world (preset `{PRESET}`,
{SIZE} × {SIZE} pixels, JPEG quality {QUALITY}). They are for trying the readers and the main job, not for learning
from: a model needs thousands of scenes, and `world:{PRESET}` makes them as it trains.

Made by

    python -m aimv2_lab.launch.samples

which writes the same bytes every time. Licence: Apache-2.0, like the project.

The same pairs in three layouts:

- `parquet/SPLIT-00000.parquet`: columns `key`, `image`, `caption`, `alt`, `objects`, `caption_facts`, `alt_facts`
- `webdataset/SPLIT-00000.tar`: per pair `KEY.jpg`, `KEY.txt` (the caption) and `KEY.json` (the rest)
- `imagefolder/SPLIT/`: pictures and `metadata.jsonl`

`caption` is a clean text that states a random half of what is true; `alt` is short, and sometimes wrong, as texts
from the web are. `objects` lists what is in the scene, back to front, with `box` as x0, y0, x1, y1 in picture widths
from the top left. `caption_facts` and `alt_facts` record what each text states; object numbers count from 0,
and -1 stands for none. In Parquet these three are JSON inside a string.
"""


def write_samples(folder: Path = Path("data_samples")) -> None:
    """Write README.md and the three layouts under `folder`, over what an earlier call wrote."""
    for layout in ("parquet", "webdataset", "imagefolder"):
        (folder / layout).mkdir(parents=True, exist_ok=True)
    for split, count in SAMPLES.items():
        samples = [world_sample(PRESET, _SEED, split, index, SIZE) for index in range(count)]
        write_parquet(folder / "parquet", f"{split}-00000", samples)
        write_webdataset(folder / "webdataset", f"{split}-00000", samples)
        write_imagefolder(folder / "imagefolder", split, samples)
    (folder / "README.md").write_bytes(README.encode())


if __name__ == "__main__":
    tyro.cli(write_samples)
