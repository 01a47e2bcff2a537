"""Where in a row the picture and the captions are, and reading them."""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import Any

from PIL import Image

from aimv2_lab.data.damage import DamagedCaption, DamagedImage
from aimv2_lab.data.reading import with_retries
from aimv2_lab.recipes import CLASSES, DataRecipe

IMAGE_NAMES = ("image", "img", "file_name", "picture", "jpg", "jpeg", "png", "webp", "image_bytes")
KEY_NAMES = ("__key__", "key", "uid")
CAPTION_NAMES = ("txt", "text", "caption", "captions", "alt", "alt_text", "sentence", "sentences", "description")
LABEL_NAMES = ("cls", "label", "labels", "class", "class_name", "category", "fine_label")
NESTING_LIMIT = 100  # JSON nested deeper is taken for damage, the same in every process; our choice, below Python's own

# What a file system answers to a name that is wrong, while its other files can be read.
_WRONG_NAME = frozenset({errno.ENOENT, errno.ENOTDIR, errno.EISDIR, errno.ENAMETOOLONG, errno.ELOOP, errno.EINVAL})
_REFUSED = frozenset({errno.EACCES, errno.EPERM, errno.ENXIO})


class MissingColumn(ValueError):
    """No column of the data holds what the recipe asks for."""


@dataclass(frozen=True)
class Columns:
    """The picture is in the first of `images` that a row has; its captions are all texts in `captions`, in order.

    Likewise its synthetic captions in `synthetic`. Without names none are read. With `labels` what stands in `captions`
    is one label, a text or a whole number.
    """

    images: tuple[str, ...]
    captions: tuple[str, ...]
    synthetic: tuple[str, ...] = ()
    labels: bool = field(default=False, repr=False)  # fingerprints are of the repr, and those of runs must stay


def find_columns(names: Sequence[str], data_recipe: DataRecipe, place: str) -> Columns:
    """The columns named by the recipe, else those with usual names, at the top or else inside `json`.

    `data.caption_column` may list several, by dotted path where they are nested: "txt,json.alt". Where the recipe has
    no tokenizer, as AIM v1's, none is looked for; where it reads labels, the usual names are those of labels. Raises
    MissingColumn, naming `place`, the columns found and the recipe's field.
    """
    images = _wanted(data_recipe.image_column)
    if not images and (usual := _usual(names, IMAGE_NAMES)):
        images = tuple(dict.fromkeys([*usual, *IMAGE_NAMES]))  # the pictures of shards are now .jpg, now .png
    _check("image", data_recipe.image_column, images, names, place)
    if not data_recipe.tokenizer:
        return Columns(images, ())
    captions, synthetic = _wanted(data_recipe.caption_column), _wanted(data_recipe.synthetic_column)
    labels = data_recipe.tokenizer == CLASSES
    if not captions:
        known: tuple[str, ...] = LABEL_NAMES if labels else CAPTION_NAMES
        nested = [f"json.{name}" for name in known]
        captions = tuple([*_usual(names, known), *_usual(names, nested)][:1])
    _check("caption", data_recipe.caption_column, captions, names, place, "label" if labels else "caption")
    if synthetic:
        _check("synthetic", data_recipe.synthetic_column, synthetic, names, place)
    return Columns(images, captions, synthetic, labels)


def read_image(row: Mapping[str, Any], columns: Columns, folder: Path | None, key: str) -> bytes | Image.Image:
    """The encoded picture of a row: bytes, or a file named relative to `folder`.

    Raises DamagedImage if it has none, and OSError as `with_retries` does for errors that are not the file's own.
    """
    value = next((row[name] for name in columns.images if row.get(name) is not None), None)
    if isinstance(value, Mapping):  # the form of HF datasets
        value = value.get("bytes") if value.get("bytes") is not None else value.get("path")
    if isinstance(value, (bytes, Image.Image)):
        return value
    if not isinstance(value, str) or not value:
        held = "nothing" if value is None else f"{type(value).__name__} {value!r:.40}"
        raise DamagedImage(key, f"no image: {', '.join(columns.images)} holds {held}")
    return _file_bytes((folder or Path()) / value, value, key)


def read_captions(row: Mapping[str, Any], columns: Columns, key: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Every caption of a row and every synthetic one, stripped of surrounding space; none where no column is read.

    Absent and blank texts are passed over; a pair is refused (DamagedCaption) if none is left, or for one that is not
    text or not valid Unicode. Where the columns hold labels, the one label is what is read.
    """
    if columns.labels:
        return (read_label(row, columns, key),), ()

    def found(names: Sequence[str]) -> tuple[str, ...]:
        return tuple(text for column in names for text in _texts(_value(row, column, key), column, key))

    captions, synthetic = found(columns.captions), found(columns.synthetic)
    if columns.captions and not captions and not synthetic:
        names = ", ".join([*columns.captions, *columns.synthetic])
        raise DamagedCaption(key, f"no caption: {names} empty or absent")
    return captions, synthetic


def read_label(row: Mapping[str, Any], columns: Columns, key: str) -> str:
    """The class of a row, a text or a whole number; a row with none or several is refused (DamagedCaption)."""
    values = {column: _value(row, column, key) for column in columns.captions}
    written = {column: str(value) if isinstance(value, int) else value for column, value in values.items()}
    labels = [text for column, value in written.items() for text in _texts(value, column, key)]
    if len(labels) != 1:
        found = f"{len(labels)} labels: {labels!r:.80}" if labels else "no label"
        raise DamagedCaption(key, f"{found} in {', '.join(columns.captions)}")
    return labels[0]


def nested_names(name: str, value: Any) -> list[str]:
    """`name` and the dotted names of what an example `value` holds, through lists."""
    if isinstance(value, Mapping):
        return [name, *(inner for part in value for inner in nested_names(f"{name}.{part}", value[part]))]
    if isinstance(value, Sequence) and value and isinstance(value[0], Mapping):
        return nested_names(name, value[0])
    return [name]


def parse_member(name: str, content: bytes, key: str) -> Any:
    """The text or JSON in a tar's member; raises DamagedCaption where it is neither."""
    try:
        text = content.decode()
        return parse_json(text) if name.rpartition(".")[2] == "json" else text
    except ValueError as error:
        raise DamagedCaption(key, f"unreadable {name}: {error}") from None


def parse_json(text: str) -> Any:
    """The value of a JSON text; raises ValueError where it is none, or nested deeper than `NESTING_LIMIT`."""
    with suppress(RecursionError):
        value = json.loads(text)
        if text.count("[") + text.count("{") <= NESTING_LIMIT or not _nested_deeper(value):
            return value
    raise ValueError(f"JSON nested deeper than {NESTING_LIMIT}")


def _nested_deeper(value: Any) -> bool:
    """Whether anything lies within more than `NESTING_LIMIT` lists and objects."""
    level = [value]
    for _ in range(NESTING_LIMIT):
        holding = [part for part in level if isinstance(part, (dict, list))]
        level = list(chain.from_iterable(part.values() if isinstance(part, dict) else part for part in holding))
    return any(isinstance(part, (dict, list)) for part in level)


def _file_bytes(file: Path, named: str, key: str) -> bytes:
    """A picture's file; raises DamagedImage, with the name as the row has it, where there is none of that name."""
    try:
        return with_retries(file.read_bytes, str(file))
    except ValueError as error:  # a zero byte, or half of a character
        raise DamagedImage(key, f"no name of a file: {error}: {named!r:.80}") from None
    except OSError as error:
        if error.errno not in _WRONG_NAME | _REFUSED:
            raise
        kind = "file unreadable" if error.errno in _REFUSED else "file not found"
        raise DamagedImage(key, f"{kind}: {os.strerror(error.errno)}: {named:.200}") from None


def _wanted(columns: str) -> tuple[str, ...]:
    return tuple(column.strip() for column in columns.split(",") if column.strip())


def _check(
    field_name: str, named: str, columns: Sequence[str], names: Sequence[str], place: str, what: str = ""
) -> None:
    """Raise MissingColumn if the recipe names a column that is not there, or names none and none was found."""
    what = what or field_name
    missing = [column for column in columns if column not in names] if named else []
    if missing or not columns:
        raise MissingColumn(
            f"{place} has no {what} column {', '.join(missing) or 'of a usual name'}; found: "
            f"{', '.join(names) or 'none'}. Name the {what} column in data.{field_name}_column"
        )


def _usual(names: Sequence[str], usual: Iterable[str]) -> list[str]:
    """Those of `names` that are usual, in the order of `usual`, in whatever case."""
    return [name for known in usual for name in names if name.lower() == known]


def _value(row: Mapping[str, Any], column: str, key: str) -> Any:
    if column in row:
        head, rest = column, ""
    else:
        head, _, rest = column.partition(".")
    value = row.get(head)
    if isinstance(value, bytes):
        value = parse_member(head, value, key)
    for name in rest.split(".") if rest else ():
        value = _inside(value, name)
    return value


def _inside(value: Any, name: str) -> Any:
    if isinstance(value, Mapping):
        return value.get(name)
    return [_inside(part, name) for part in value] if isinstance(value, list) else None


def _texts(value: Any, column: str, key: str) -> list[str]:
    if value is None:
        return []
    if isinstance(value, list):
        return [text for part in value for text in _texts(part, column, key)]
    if not isinstance(value, str):
        raise DamagedCaption(key, f"caption is not text: {column} holds {type(value).__name__} {value!r:.40}")
    try:
        value.encode()
    except UnicodeEncodeError:
        raise DamagedCaption(key, f"caption is not valid Unicode: {column} holds {value!r:.40}") from None
    return [value.strip()] if value.strip() else []
