"""Features on disk are the encoder's, computed once, and never taken for another encoder's or other pictures'."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from aimv2_lab.data.damage import TooMuchDamage
from aimv2_lab.evaluation.probing import cache
from aimv2_lab.evaluation.probing.cache import ABOUT, FEATURES, cache_name, cached_features
from aimv2_lab.evaluation.probing.encoding import Frozen, encoder_digest
from aimv2_lab.evaluation.probing.pictures import LabelledPictures
from aimv2_lab.model.encoder import VisionEncoder
from tests.data.generated import ListSource
from tests.evaluation.probing.small import SEEN, encoder, frozen, pictures


def images(labelled: LabelledPictures) -> torch.Tensor:
    """The pictures by the path that every other reader takes."""
    return torch.stack([SEEN(labelled.source[index].image) for index in range(len(labelled))])  # type: ignore[arg-type]


def test_rows_are_the_encoders_features_whatever_the_batches(tmp_path: Path) -> None:
    labelled = pictures(10)
    expected = encoder()(images(labelled)).detach()
    for size in (3, 64):
        found = cached_features(tmp_path / str(size), frozen(), labelled, batch_size=size, dtype="float32")
        torch.testing.assert_close(found.rows(np.arange(10)), expected, rtol=1e-5, atol=1e-5)
        assert found.labels.tolist() == [[0], [1]] * 5 and isinstance(found.features, np.memmap)
        torch.testing.assert_close(found.rows(np.array([7, 2])), expected[[7, 2]], rtol=1e-5, atol=1e-5)


def test_layers_are_those_of_the_residual_stream_and_their_mean(tmp_path: Path) -> None:
    labelled = pictures(4)
    stream, norm = encoder().hidden_states(images(labelled)), encoder().norm
    expected = {
        (1,): stream[1],
        (0, 2): (stream[0] + stream[2]) / 2,
    }
    for layers, raw in expected.items():
        found = frozen(layers=layers, normed=False)
        torch.testing.assert_close(found(torch.stack([labelled[i].picture for i in range(4)])), raw)  # type: ignore[misc]
    normed = cached_features(tmp_path / "normed", frozen(layers=(2, 1)), labelled, dtype="float32")
    wanted = (norm(stream[1]) + norm(stream[2])).detach() / 2
    torch.testing.assert_close(normed.rows(np.arange(4)), wanted, rtol=1e-5, atol=1e-5)
    pooled = cached_features(tmp_path / "pooled", frozen(pooled=True), labelled, dtype="float32")
    torch.testing.assert_close(pooled.rows(np.arange(4)), norm(stream[-1]).mean(1).detach(), rtol=1e-5, atol=1e-5)


def test_blocks_after_the_last_wanted_layer_are_not_computed() -> None:
    one = frozen(layers=(1,))
    one.encoder.blocks[1].register_forward_hook(lambda *_: pytest.fail("block 1 was computed"))
    one(torch.zeros(1, 3, 24, 24, dtype=torch.uint8))
    with pytest.raises(ValueError, match=r"layers = \[3\]: this encoder has 0"):
        frozen(layers=(3,))
    with pytest.raises(ValueError, match="twice"):
        frozen(layers=(1, 1))


def test_features_are_computed_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = cached_features(tmp_path / "f", frozen(), pictures())
    monkeypatch.setattr(cache, "_write", lambda *_: pytest.fail("computed twice"))
    again = cached_features(tmp_path / "f", frozen(), pictures())
    assert (first.features == again.features).all() and first.labels.equal(again.labels)


def other_frozen() -> dict[str, Frozen]:
    return {
        "encoder": frozen(seed=1),
        "layers": frozen(layers=(1,)),
        "normed": frozen(normed=False),
        "pooled": frozen(pooled=True),
        "scale": replace(frozen(), scale=frozen().scale._replace(mean=(0.0, 0.0, 0.0))),
        "precision": frozen(precision="bfloat16"),
    }


@pytest.mark.parametrize("field", other_frozen())
def test_another_encoders_features_are_refused(field: str, tmp_path: Path) -> None:
    cached_features(tmp_path / "f", frozen(), pictures())
    with pytest.raises(ValueError, match=f"something else: {field} was"):
        cached_features(tmp_path / "f", other_frozen()[field], pictures())


def test_other_pictures_views_labels_or_types_are_refused(tmp_path: Path) -> None:
    labelled, folder = pictures(), tmp_path / "f"
    cached_features(folder, frozen(), labelled)
    smaller = replace(labelled, preprocessing=replace(SEEN, shortest_side=30))
    others = [smaller, replace(labelled, labels=type("Other", (), {"tasks": ()})())]
    renamed = ListSource(10)
    renamed.fingerprint = "1"
    relabelled = replace(labelled, source=renamed)
    for other in (*others, relabelled):
        with pytest.raises(ValueError, match="something else: pictures was"):
            cached_features(folder, frozen(), other)
        assert cache_name(frozen(), other) != cache_name(frozen(), labelled)
    with pytest.raises(ValueError, match="type was 'float16', is 'float32'"):
        cached_features(folder, frozen(), labelled, dtype="float32")


def test_a_folder_of_something_else_or_of_parts_is_refused(tmp_path: Path) -> None:
    (tmp_path / "f").mkdir()
    with pytest.raises(ValueError, match="holds no features: about"):
        cached_features(tmp_path / "f", frozen(), pictures())
    cached_features(tmp_path / "g", frozen(), pictures())
    np.save(tmp_path / "g" / FEATURES, np.zeros((3, 4, 32), np.float16))
    with pytest.raises(ValueError, match="3 features for 10 labels"):
        cached_features(tmp_path / "g", frozen(), pictures())


def test_nothing_is_left_where_encoding_fails(tmp_path: Path) -> None:
    broken = frozen()
    broken.encoder.blocks[0].register_forward_hook(lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        cached_features(tmp_path / "f", broken, pictures())
    assert not (tmp_path / "f").exists()
    assert len(cached_features(tmp_path / "f", frozen(), pictures())) == 10


def test_damaged_pictures_are_left_out_and_named(tmp_path: Path) -> None:
    whole = cached_features(tmp_path / "whole", frozen(), pictures(10))
    found = cached_features(tmp_path / "f", frozen(), pictures(10, damaged=(0, 4, 5)), batch_size=2)
    sound = [1, 2, 3, 6, 7, 8, 9]
    assert found.labels[:, 0].tolist() == [row % 2 for row in sound]
    torch.testing.assert_close(found.rows(np.arange(7)), whole.rows(np.array(sound)), rtol=1e-3, atol=1e-3)
    assert [text.partition(":")[0] for text in found.damaged] == ["pair-0", "pair-4", "pair-5"]
    assert json.loads((tmp_path / "f" / ABOUT).read_text())["damaged"] == list(found.damaged)
    with pytest.raises(ValueError, match="not one of 2 pictures"):
        cached_features(tmp_path / "none", frozen(), pictures(2, damaged=(0, 1)))
    with pytest.raises(TooMuchDamage, match="3 or more of 200"):
        cached_features(tmp_path / "much", frozen(), pictures(200, damaged=range(3)))


def test_what_float16_cannot_hold_is_refused(tmp_path: Path) -> None:
    loud = frozen()
    loud.encoder.norm.weight.data.mul_(1e6)
    with pytest.raises(ValueError, match="float16 ends at 65504"):
        cached_features(tmp_path / "f", loud, pictures())
    assert len(cached_features(tmp_path / "f", loud, pictures(), dtype="float32")) == 10


def test_a_digest_is_of_every_weight_and_size() -> None:
    digests = {encoder_digest(encoder())}
    for name, _ in encoder().named_parameters():
        changed = encoder()
        changed.get_parameter(name).data.view(-1)[-1] += 1e-3
        digests.add(encoder_digest(changed))
    assert len(digests) == 1 + len(list(encoder().parameters()))
    assert encoder_digest(encoder()) in digests
    assert encoder_digest(VisionEncoder(replace(encoder().recipe, norm_eps=1e-4))) not in digests


class Slow(LabelledPictures):
    """Whose eighth picture waits until another process (here: call) has written all of them."""

    other: Path

    def seen(self, index: int, view: object) -> object:  # type: ignore[override]
        if index == 7:
            cached_features(self.other, frozen(), pictures(), batch_size=2)
        return super().seen(index, view)  # type: ignore[arg-type]


def test_two_writers_of_one_folder_leave_whole_features(tmp_path: Path) -> None:
    whole = cached_features(tmp_path / "alone", frozen(), pictures(), batch_size=2).features
    slow = Slow(pictures().source, pictures().labels, SEEN)
    object.__setattr__(slow, "other", tmp_path / "f")
    found = cached_features(tmp_path / "f", frozen(), slow, batch_size=2)
    assert np.array_equal(found.features, whole) and np.abs(whole).min(axis=(1, 2)).max() > 0
    assert sorted(path.name for path in tmp_path.iterdir()) == ["alone", "f"]  # nothing is left half done
