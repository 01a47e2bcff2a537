"""Generated metadata tables with the columns of DataComp, COYO-700M and Recap-DataComp-1B."""

from hashlib import md5, sha256
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from aimv2_lab.data.uids import UID

WORDS = ("a", "red", "circle", "above", "the", "small", "green", "star", "on", "grey", "ground")


def uid(number: int) -> str:
    return md5(f"pair {number}".encode()).hexdigest()


def texts(draw: np.random.Generator, rows: int) -> list[str]:
    return [" ".join(draw.choice(WORDS, count)) for count in draw.integers(1, 12, rows)]


def datacomp_table(rows: int, seed: int = 0) -> pa.Table:
    """Schema: huggingface.co/datasets/mlfoundations/datacomp_pools. A tenth of the pictures comes twice."""
    draw = np.random.default_rng(seed)
    pictures = draw.integers(0, rows * 10, rows)
    return pa.table(
        {
            "uid": [uid(seed * 1_000_000 + row) for row in range(rows)],
            "url": [f"https://world.invalid/{picture}/{row % 7}.jpg" for row, picture in enumerate(pictures)],
            "text": texts(draw, rows),
            "original_width": draw.integers(60, 1500, rows),
            "original_height": draw.integers(60, 1500, rows),
            "clip_b32_similarity_score": draw.normal(0.25, 0.05, rows).astype(np.float32),
            "clip_l14_similarity_score": draw.normal(0.22, 0.05, rows).astype(np.float32),
            "face_bboxes": [[[0.1, 0.1, 0.4, 0.4]] if row % 5 == 0 else [] for row in range(rows)],
            "sha256": [sha256(f"picture {picture}".encode()).hexdigest() for picture in pictures],
        }
    )


def coyo_table(rows: int, seed: int = 0) -> pa.Table:
    """Schema: huggingface.co/datasets/kakaobrain/coyo-700m. Urls and picture hashes repeat, as there."""
    draw = np.random.default_rng(seed)
    text = texts(draw, rows)
    return pa.table(
        {
            "id": 841_814_333_321 + 1_000_000 * seed + np.arange(rows),
            "url": [f"https://world.invalid/{number}.jpg" for number in draw.integers(0, rows * 2, rows)],
            "text": text,
            "width": draw.integers(200, 1500, rows),
            "height": draw.integers(200, 1500, rows),
            "image_phash": [f"{number:016x}" for number in draw.integers(0, rows * 2, rows)],
            "text_length": [len(words) for words in text],
            "word_count": [len(words.split()) for words in text],
            "num_faces": draw.integers(0, 3, rows),
            "clip_similarity_vitb32": draw.normal(0.28, 0.05, rows).astype(np.float32),
            "clip_similarity_vitl14": draw.normal(0.25, 0.05, rows).astype(np.float32),
            "nsfw_score_opennsfw2": draw.uniform(0, 0.5, rows).astype(np.float32),
            "nsfw_score_gantman": draw.uniform(0, 0.5, rows).astype(np.float32),
            "watermark_score": draw.uniform(0, 1, rows).astype(np.float32),
            "aesthetic_score_laion_v2": draw.normal(5, 0.5, rows).astype(np.float32),
        }
    )


def recap_table(datacomp: pa.Table, share: float = 0.6) -> pa.Table:
    """Schema: huggingface.co/datasets/UCSC-VLAA/Recap-DataComp-1B, for a share of DataComp's rows, in another order."""
    draw = np.random.default_rng(1)
    chosen = draw.permutation(datacomp.num_rows)[: int(share * datacomp.num_rows)]
    part = datacomp.take(chosen)
    captions = [f"The picture shows {text}, said at length." for text in part["text"].to_pylist()]
    return pa.table(
        {
            "url": part["url"],
            "re_caption": captions,
            "org_caption": part["text"],
            "sha256": part["sha256"],
            "key": [f"{number:012d}" for number in range(part.num_rows)],
            "re_length": [len(caption.split()) for caption in captions],
        }
    )


def write_table(path: Path, table: pa.Table, **options: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(table, path, **options)
    return path


def write_uid_list(path: Path, uids: list[str]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    np.save(path, np.sort(np.array([(int(text[:16], 16), int(text[16:], 16)) for text in uids], UID)))
    return path
