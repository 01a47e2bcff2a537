"""The generated world as a source: pairs, fingerprints, specifications, and that every knob shows in the pairs."""

from __future__ import annotations

from dataclasses import fields, replace

import numpy as np
import pytest
from PIL import Image

from aimv2_lab.data.captions import alt_caption, synthetic_caption
from aimv2_lab.data.world import WORLDS, WorldSettings, render
from aimv2_lab.data.world.scene import generator
from aimv2_lab.data.world.source import WorldSource, open_world

CHANGES: dict[str, object] = {
    "shapes": ("circle", "square", "heart"),
    "colours": ("red", "blue", "yellow", "black"),
    "sizes": ("small", "medium", "large")[::-1],
    "radii": (0.08, 0.1, 0.15),
    "n_objects": (2, 4),
    "held_out": (("circle", "red"),),
    "distinct": ("shape", "colour"),
    "arrangement": "aligned",
    "ratios": (0.5, 2.0),
    "min_visible": 0.95,
    "fills": ("hollow",),
    "marks": ("one dot",),
    "mark_rate": 1.0,
    "mark_contrast": 0.2,
    "rotation": 0.1,
    "colour_jitter": 0.0,
    "ground_energy": 1.0,
    "clutter": 1,
    "noise_sigma": 1.0,
    "relations": ("above",),
    "caption_fact_rate": 0.9,
    "caption_noise": 0.9,
    "alt_share": 0.0,
}


def views(settings: WorldSettings, monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """Pictures and captions of thirty scenes, as the source gives them."""
    monkeypatch.setitem(WORLDS, "tried", settings)
    source = WorldSource("tried", "train", length=30, size=24)
    return [(np.asarray(source[i].image).tobytes(), source[i].captions) for i in range(len(source))]


@pytest.mark.parametrize("name", [field.name for field in fields(WorldSettings)])
def test_every_knob_does_something(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    before = WORLDS["rich"]
    assert getattr(before, name) != CHANGES[name]
    after = replace(before, **{name: CHANGES[name]})  # type: ignore[arg-type]
    assert views(after, monkeypatch) != views(before, monkeypatch)
    assert after.fingerprint != before.fingerprint


def test_source_pairs_scenes_with_their_captions() -> None:
    source = WorldSource("rich", "validation", length=20, views=6, size=40)
    assert len(source) == 20 and source.name == "world:rich"
    for index in (13, 2, 13):
        pair = source[index]
        assert isinstance(pair.image, Image.Image)
        assert pair.key == f"validation-{index:08d}"
        assert np.array_equal(np.asarray(pair.image), render(source.scene(index), 40))
        assert pair.captions == tuple(caption.text for caption in source.captions(index))
        assert len(pair.captions) == 6
    with pytest.raises(IndexError, match="scene 20 of world:rich validation, which has 20"):
        source[20]


def test_source_puts_alt_texts_last_in_their_share() -> None:
    source = WorldSource("rich", "train", views=6)
    settings, draws = source.settings, [generator(0, "train", 5, 2 + view) for view in range(6)]
    kinds = [synthetic_caption] * 2 + [alt_caption] * 4
    expected = [kind(source.scene(5), settings, draw) for kind, draw in zip(kinds, draws, strict=True)]
    assert list(source.captions(5)) == expected


def test_pictures_handed_out_cannot_spoil_the_kept_ones() -> None:
    source = WorldSource("easy", "train")
    first = source[0].image
    assert isinstance(first, Image.Image)
    first.paste((255, 0, 0), (0, 0, 48, 48))
    assert np.array_equal(np.asarray(source[0].image), render(source.scene(0), 48))


def test_fingerprint_tells_sources_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    base = WorldSource("easy", "train")
    others = [
        replace(base, preset="rich"),
        replace(base, split="validation"),
        replace(base, length=5),
        replace(base, seed=1),
        replace(base, size=64),
        replace(base, views=2),
    ]
    assert len({source.fingerprint for source in (base, *others)}) == 7
    before = base.fingerprint
    assert WorldSource("easy", "train").fingerprint == before
    monkeypatch.setattr("aimv2_lab.data.world.settings.CODE_VERSION", 999)
    assert base.fingerprint != before


def test_open_world_reads_its_specification() -> None:
    assert open_world("world:easy", "train", 48) == WorldSource("easy", "train", size=48)
    assert len(open_world("world:easy:123", "train", 48)) == 123
    assert len(open_world("world:easy:123", "validation", 48)) == 2048
    assert len(open_world("world:easy", "train", 48)) == 10_000


@pytest.mark.parametrize(
    ("spec", "kind", "message"),
    [
        ("world:esay", KeyError, "esay.*easy"),
        ("world:", ValueError, "world:PRESET"),
        ("globe:easy", ValueError, "globe:easy"),
        ("world:easy:many", ValueError, "many"),
        ("world:easy:0", ValueError, "'0'"),
    ],
)
def test_open_world_explains_what_is_wrong(spec: str, kind: type[Exception], message: str) -> None:
    with pytest.raises(kind, match=message):
        open_world(spec, "train", 48)


def test_source_refuses_bad_numbers() -> None:
    with pytest.raises(ValueError, match="views = 0"):
        WorldSource("easy", "train", views=0)
    with pytest.raises(ValueError, match="'dev' does not exist"):
        WorldSource("easy", "dev")
