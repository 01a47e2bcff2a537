"""An index of shards that were never written: their parts are drawn, the tars are holes of the right size."""

from pathlib import Path

import numpy as np

from aimv2_lab.data.tars.index import TarIndex, index_folder
from aimv2_lab.data.tars.indexing import build_index
from aimv2_lab.data.tars.job import ShardJob
from aimv2_lab.data.tars.parts import MEMBER, Part, PartArrays, PartNotes

EXTENSIONS = ["jpg", "txt", "json"]
MEMBER_BYTES = 1024
KEY_BYTES = len("00000/000000000")


def simulate_index(data: Path, shards: int, samples: int) -> TarIndex:
    """An index of `shards` shards of `samples` samples with three members each, made by merging parts."""
    data.mkdir(parents=True, exist_ok=True)
    for number in range(shards):
        shard = data / f"{number:05d}.tar"
        with shard.open("wb") as tar:
            tar.truncate((3 * samples + 2) * MEMBER_BYTES)
        job = ShardJob.of(data, shard.name, index_folder(data), ("width",), True)
        job.part.parent.mkdir(parents=True, exist_ok=True)
        simulated_part(number, samples).save(job.part, job.stamp())
    return build_index(data, ["width"])


def simulated_part(number: int, samples: int) -> Part:
    members = np.zeros(3 * samples, dtype=MEMBER)
    members["offset"] = np.arange(3 * samples) * MEMBER_BYTES + 512
    members["size"], members["extension"] = 300, np.arange(3 * samples) % 3
    keys = "".join(f"{number:05d}/{number:05d}{row:04d}" for row in range(samples)).encode()
    arrays = PartArrays(
        counts=np.full(samples, 3, dtype=np.uint16),
        key_hashes=np.random.default_rng(number).integers(0, 2**64, samples, dtype=np.uint64),
        key_bytes=np.frombuffer(keys, dtype=np.uint8),
        key_ends=np.arange(1, samples + 1, dtype=np.uint64) * KEY_BYTES,
        members=members,
    )
    notes = PartNotes(samples, 3 * samples, len(keys), EXTENSIONS, [], 0)
    return Part(arrays, {"width": np.arange(samples, dtype=np.float64)}, notes)
