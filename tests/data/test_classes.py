"""Labels from every layout, their classes in order, and what is no label."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path

import datasets
import pytest

from aimv2_lab.data.batches import PairDataset
from aimv2_lab.data.classes import ClassTokenizer, UnknownClass, find_classes
from aimv2_lab.data.columns import Columns, MissingColumn
from aimv2_lab.data.damage import DamagedCaption
from aimv2_lab.data.mixture import MixedSource
from aimv2_lab.data.world.source import open_world
from aimv2_lab.recipes import CLASSES
from tests.data.generated import encoded, picture, write_image_folder, write_tar
from tests.data.layouts import opened, write_parquet
from tests.training.finetune_toy import checkpoint, tuning

NUMBERS = [10, 2, 10, 7]  # as numbers 2 < 7 < 10, as texts "10" < "2" < "7"
Writer = Callable[[Path, Sequence[object]], None]


def in_table(root: Path, labels: Sequence[object]) -> None:
    pictures = [{"bytes": encoded(picture(n)), "path": None} for n in range(len(labels))]
    write_parquet(root / "train.parquet", {"image": pictures, "label": labels})


def in_cls_members(root: Path, labels: Sequence[object]) -> None:
    samples = {f"{n:04d}": {"png": encoded(picture(n)), "cls": str(label).encode()} for n, label in enumerate(labels)}
    write_tar(root / "train-0.tar", samples)


def in_json_members(root: Path, labels: Sequence[object]) -> None:
    texts = [json.dumps({"label": label, "caption": "a picture"}).encode() for label in labels]
    write_tar(root / "train-0.tar", {f"{n:04d}": {"png": encoded(picture(n)), "json": t} for n, t in enumerate(texts)})


def in_metadata(root: Path, labels: Sequence[object]) -> None:
    lines = [{"file_name": f"{n}.png", "class": label, "text": "a picture"} for n, label in enumerate(labels)]
    write_image_folder(root / "train", lines)


WRITERS = [in_table, in_cls_members, in_json_members, in_metadata]


@pytest.mark.parametrize("write", WRITERS)
@pytest.mark.parametrize("labels", [NUMBERS, ["owl", "cat", "owl", "bee"]])
def test_every_layout_gives_labels_and_their_classes(write: Writer, labels: list[object], tmp_path: Path) -> None:
    write(tmp_path, labels)
    source = opened(tmp_path, tokenizer=CLASSES, validation_share=0.0)
    assert [source[index].captions for index in range(len(source))] == [(str(label),) for label in labels]
    expected = ("2", "7", "10") if labels == NUMBERS else ("bee", "cat", "owl")
    assert find_classes(MixedSource((source,))) == expected


def test_declared_classes_have_their_names_and_keep_their_order(tmp_path: Path) -> None:
    pictures = [{"bytes": encoded(picture(n)), "path": None} for n in range(3)]
    table = datasets.Dataset.from_dict({"image": pictures, "label": [1, 0, -1]})
    table = table.cast_column("label", datasets.ClassLabel(names=["zebra", "ant", "mole"]))
    table.cast_column("image", datasets.Image()).save_to_disk(tmp_path / "train")
    source = opened(tmp_path, tokenizer=CLASSES, validation_share=0.0)
    assert [source[0].captions, source[1].captions] == [("ant",), ("zebra",)]
    assert find_classes(MixedSource((source,))) == ("zebra", "ant", "mole")
    with pytest.raises(DamagedCaption, match="no label in label"):
        source[2]  # HF's -1 stands for no class


@pytest.mark.parametrize("write", [in_json_members, in_metadata])
@pytest.mark.parametrize("bad", [None, " ", ["owl", "cat"], {"a": 1}, 0.5])
def test_what_is_no_label_is_damage_and_no_class(write: Writer, bad: object, tmp_path: Path) -> None:
    write(tmp_path, ["owl", "cat", bad])
    source = opened(tmp_path, tokenizer=CLASSES, validation_share=0.0)
    assert find_classes(MixedSource((source,))) == ("cat", "owl")
    with pytest.raises(DamagedCaption, match=r"label|not text: (class|json.label)"):
        source[2]


def test_a_column_named_otherwise_is_asked_for_and_found(tmp_path: Path) -> None:
    lines = [{"file_name": f"{n}.png", "species": label} for n, label in enumerate(("owl", "cat"))]
    write_image_folder(tmp_path, lines)
    with pytest.raises(MissingColumn, match=r"no label column.*species.*data\.caption_column"):
        opened(tmp_path, tokenizer=CLASSES)
    named = opened(tmp_path, tokenizer=CLASSES, caption_column="species", validation_share=0.0)
    assert find_classes(MixedSource((named,))) == ("cat", "owl")


def test_one_class_is_refused(tmp_path: Path) -> None:
    in_metadata(tmp_path, ["owl", "owl"])
    with pytest.raises(ValueError, match=r"1 classes \(owl\).*data\.caption_column"):
        find_classes(MixedSource((opened(tmp_path, tokenizer=CLASSES, validation_share=0.0),)))


def test_a_label_is_the_number_of_its_class() -> None:
    tokens, counted = ClassTokenizer(("bee", "cat", "owl")).encode(["owl", "bee"], 1)
    assert tokens.tolist() == [[2], [0]] and counted.all()
    with pytest.raises(UnknownClass, match="unknown class 'cart'; did you mean cat"):
        ClassTokenizer(("bee", "cat", "owl")).encode(["cart"], 1)


def test_an_unknown_class_names_the_pair(tmp_path: Path) -> None:
    in_metadata(tmp_path, ["owl", "cat", "bat"])
    source = opened(tmp_path, tokenizer=CLASSES, validation_share=0.0)
    recipe = tuning(checkpoint(tmp_path / "start"), "full", classes=["cat", "owl"])
    validation = PairDataset(source, ClassTokenizer(recipe.classes), recipe, training=False)
    with pytest.raises(ValueError, match=r"2\.png: unknown class 'bat'"):
        [validation[position] for position in range(3)]


def test_the_generated_world_has_its_large_shapes() -> None:
    labels, scenes = opened("world:easy:8", tokenizer=CLASSES), open_world("world:easy:8")
    assert find_classes(MixedSource((labels,))) == ("circle", "square", "triangle", "cross", "bar")
    for index in range(8):
        (large,) = [thing.shape for thing in scenes.scene(index).objects if thing.size == "large"]
        assert (labels[index].key, labels[index].captions) == (scenes[index].key, (large,))


def test_columns_of_labels_look_like_columns_of_captions() -> None:
    """Fingerprints are of their text, and runs resume on equal ones."""
    assert repr(Columns(("jpg",), ("txt",), labels=True)) == "Columns(images=('jpg',), captions=('txt',), synthetic=())"
