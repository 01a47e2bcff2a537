"""Write the generated sample pairs in three layouts:  python -m aimv2_lab.launch.samples [--folder data_samples]

The same scenes come as Parquet, as a WebDataset shard and as an image folder. The files are the same to the byte
whenever they are written: no times, no random order, one JPEG setting. (Another version of Pillow or pyarrow may
encode differently; constraints.txt pins both.)
"""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import tyro
from PIL import Image

from aimv2_lab.data.captions import Caption, alt_caption, synthetic_caption
from aimv2_lab.data.world import boxes, make_scene, render, world_settings
from aimv2_lab.data.world.scene import Scene, generator

PRESET, SIZE, QUALITY = "rich", 64, 85
SAMPLES = {"train": 192, "validation": 64}
_SEED = 1  # scenes of their own: not the ones that WorldSource begins with
_CAPTION_STREAM, _ALT_STREAM = 2, 3

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


@dataclass(frozen=True)
class Sample:
    """One pair: its key, JPEG bytes, and everything that is known of it."""

    key: str
    jpeg: bytes
    caption: str
    about: dict[str, Any]


def make_sample(split: str, index: int) -> Sample:
    """Draw, render, caption and encode one scene."""
    settings = world_settings(PRESET)
    scene = make_scene(settings, _SEED, split, index)
    caption = synthetic_caption(scene, settings, generator(_SEED, split, index, _CAPTION_STREAM))
    alt = alt_caption(scene, settings, generator(_SEED, split, index, _ALT_STREAM))
    about = {
        "alt": alt.text,
        "objects": _objects(scene),
        "caption_facts": _facts(caption),
        "alt_facts": _facts(alt),
    }
    return Sample(f"{index:08d}", _jpeg(scene), caption.text, about)


def _objects(scene: Scene) -> list[dict[str, Any]]:
    """The named attributes and the box of every object."""
    names = ("shape", "colour", "size", "fill", "mark")
    return [
        {name: getattr(thing, name) for name in names} | {"box": [round(float(side), 4) for side in box]}
        for thing, box in zip(scene.objects, boxes(scene), strict=True)
    ]


def _facts(caption: Caption) -> list[dict[str, Any]]:
    """The stated facts as JSON values."""
    return [asdict(fact) for fact in caption.facts]


def _jpeg(scene: Scene) -> bytes:
    """The picture as a JPEG file, colours at full resolution."""
    file = io.BytesIO()
    Image.fromarray(render(scene, SIZE)).save(file, "JPEG", quality=QUALITY, subsampling=0)
    return file.getvalue()


def _json(value: Any) -> str:
    """JSON without spaces."""
    return json.dumps(value, separators=(",", ":"))


def write_parquet(folder: Path, split: str, samples: Iterable[Sample]) -> None:
    """One Parquet file; its schema tells HF datasets that `image` is a picture."""
    rows = [
        {"key": s.key, "image": {"bytes": s.jpeg, "path": f"{s.key}.jpg"}, "caption": s.caption, "alt": s.about["alt"]}
        | {name: _json(s.about[name]) for name in ("objects", "caption_facts", "alt_facts")}
        for s in samples
    ]
    kinds = {name: {"dtype": "string", "_type": "Value"} for name in rows[0]} | {"image": {"_type": "Image"}}
    table = pa.Table.from_pylist(rows)
    table = table.replace_schema_metadata({"huggingface": _json({"info": {"features": kinds}})})
    pq.write_table(table, folder / f"{split}-00000.parquet", compression="zstd")


def write_webdataset(folder: Path, split: str, samples: Iterable[Sample]) -> None:
    """One tar with the members jpg, txt, json per key, in img2dataset's layout."""
    with tarfile.open(folder / f"{split}-00000.tar", "w", format=tarfile.USTAR_FORMAT) as tar:
        for sample in samples:
            about = {"key": sample.key, "caption": sample.caption, "width": SIZE, "height": SIZE, **sample.about}
            members = {"jpg": sample.jpeg, "txt": sample.caption.encode(), "json": _json(about).encode()}
            for extension, content in members.items():
                member = tarfile.TarInfo(f"{sample.key}.{extension}")  # its time is 0, its owner nobody
                member.size = len(content)
                tar.addfile(member, io.BytesIO(content))


def write_imagefolder(folder: Path, split: str, samples: Iterable[Sample]) -> None:
    """Pictures of a split beside its metadata.jsonl."""
    (folder / split).mkdir(exist_ok=True)
    lines = []
    for sample in samples:
        (folder / split / f"{sample.key}.jpg").write_bytes(sample.jpeg)
        lines.append(_json({"file_name": f"{sample.key}.jpg", "caption": sample.caption, **sample.about}) + "\n")
    (folder / split / "metadata.jsonl").write_bytes("".join(lines).encode())


def write_samples(folder: Path = Path("data_samples")) -> None:
    """Write README.md and the three layouts under `folder`, over what an earlier call wrote."""
    layouts = {"parquet": write_parquet, "webdataset": write_webdataset, "imagefolder": write_imagefolder}
    for layout in layouts:
        (folder / layout).mkdir(parents=True, exist_ok=True)
    for split, count in SAMPLES.items():
        samples = [make_sample(split, index) for index in range(count)]
        for layout, write in layouts.items():
            write(folder / layout, split, samples)
    (folder / "README.md").write_bytes(README.encode())


if __name__ == "__main__":
    tyro.cli(write_samples)
