import errno
import itertools
import pickle
import threading
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from aimv2_lab.data import batches as data_batches
from aimv2_lab.data.batches import Batch, PairDataset, Sample, batches
from aimv2_lab.data.damage import DamagedArchive, DamagedImage, TooMuchDamage
from aimv2_lab.data.order import sample_generator
from aimv2_lab.data.preprocessing import evaluation_picture
from aimv2_lab.data.records import Pair
from aimv2_lab.data.tars.index import StaleIndex
from aimv2_lab.data.transforms import normalise, pixel_scale
from aimv2_lab.recipes import recipe
from tests.data.generated import Bytes, ListSource, picture

LENGTH = 23  # no multiple of the batch: epochs end inside batches


def dataset(source: ListSource | None = None, training: bool = True, **changes: Any) -> PairDataset:
    small: dict[str, Any] = {"encoder.image_size": 16, "encoder.patch_size": 4, "data.flip_probability": 0.5}
    small |= {"data.crop_scale": (0.4, 1.0), "data.crop_ratio": (0.75, 1.33)}
    changed = recipe("tiny", small | {name.replace("__", "."): value for name, value in changes.items()})
    return PairDataset(ListSource(LENGTH) if source is None else source, Bytes(), changed, training)


def test_a_recipe_without_text_needs_no_tokenizer_and_leaves_captions_alone() -> None:
    """A pair whose caption has no tokens is damaged for a recipe that reads text, not for AIM v1."""
    dotted = ListSource(LENGTH, dotted=list(range(LENGTH)))
    changed = recipe("aim-tiny", {"encoder.image_size": 16, "encoder.patch_size": 4})
    (batch,) = batches(PairDataset(dotted, None, changed, training=True), 8, 0, 1, workers=0)
    assert (batch.tokens.shape, batch.counted.shape, batch.counted_tokens) == ((8, 0), (8, 0), 0)
    assert not batch.replaced
    assert [part.tokens.shape for part in batch.split(3)] == [(3, 0), (3, 0), (2, 0)]
    assert batch.counted_text().slots.shape == (0,)


def test_prefixes_do_not_depend_on_whether_captions_are_read() -> None:
    small = {"encoder.image_size": 16, "encoder.patch_size": 4}
    silent = PairDataset(ListSource(LENGTH), None, recipe("aim-tiny", small), training=True)
    assert [silent[i].prefix_length for i in range(8)] == [dataset()[i].prefix_length for i in range(8)]


def test_a_recipe_that_reads_text_is_refused_without_a_tokenizer() -> None:
    with pytest.raises(ValueError, match="recipe tiny reads 40 text tokens: it needs a tokenizer"):
        PairDataset(ListSource(LENGTH), None, recipe("tiny"), training=True)


def caption(sample: Sample) -> str:
    return bytes(sample.tokens.tolist()).decode()


def same(first: Batch, second: Batch) -> bool:
    tensors = ("pictures", "tokens", "counted", "prefix_lengths")
    return (first.keys, first.replaced, first.scale) == (second.keys, second.replaced, second.scale) and all(
        torch.equal(getattr(first, name), getattr(second, name)) for name in tensors
    )


def rejoined(parts: list[Batch]) -> Batch:
    """The global batch that ranks hold parts of."""
    length = max(part.tokens.shape[1] for part in parts)

    def padded(tokens: torch.Tensor) -> torch.Tensor:
        return torch.nn.functional.pad(tokens, (0, length - tokens.shape[1]))

    return Batch(
        torch.cat([part.pictures for part in parts]),
        torch.cat([padded(part.tokens) for part in parts]),
        torch.cat([padded(part.counted) for part in parts]),
        torch.cat([part.prefix_lengths for part in parts]),
        tuple(itertools.chain.from_iterable(part.keys for part in parts)),
        tuple(itertools.chain.from_iterable(part.replaced for part in parts)),
        parts[0].scale,
    )


@pytest.fixture(scope="module")
def damaged_source() -> ListSource:
    return ListSource(LENGTH, damaged=[2, 3, 11], mute=[5], dotted=[7])


@pytest.mark.parametrize("ranks", [1, 2, 4, 8])
@pytest.mark.parametrize("training", [True, False])
def test_global_batches_do_not_depend_on_the_ranks(ranks: int, training: bool, damaged_source: ListSource) -> None:
    whole = list(batches(dataset(damaged_source, training), 8, 0, 7, workers=0))
    by_rank = [
        list(batches(dataset(damaged_source, training), 8, 0, 7, 0, rank=rank, world_size=ranks))
        for rank in range(ranks)
    ]
    for step, expected in enumerate(whole):
        parts = [part[step] for part in by_rank]
        assert [len(part) for part in parts] == [8 // ranks] * ranks
        assert same(rejoined(parts), expected)


@pytest.mark.parametrize("workers", [1, 2])
def test_batches_do_not_depend_on_the_workers(workers: int, damaged_source: ListSource) -> None:
    alone = list(batches(dataset(damaged_source), 6, 0, 6, workers=0))
    together = batches(dataset(damaged_source), 6, 0, 6, workers=workers)
    assert all(same(one, other) for one, other in zip(together, alone, strict=True))


@pytest.mark.parametrize("step", [1, 2, 3, 5])
@pytest.mark.parametrize("workers", [0, 2])
def test_batches_go_on_from_any_position(step: int, workers: int) -> None:
    uninterrupted = list(batches(dataset(), 8, 0, 6, workers=0))
    resumed = list(batches(dataset(), 8, step * 8, 6 - step, workers=workers))
    assert all(same(one, other) for one, other in zip(resumed, uninterrupted[step:], strict=True))


def test_another_batch_size_goes_on_with_the_same_samples() -> None:
    eights = [key for batch in batches(dataset(), 8, 0, 6, 0) for key in batch.keys]
    sixes = [key for batch in batches(dataset(), 6, 0, 8, 0) for key in batch.keys]
    assert eights == sixes


def test_every_epoch_holds_every_pair_once_in_another_order() -> None:
    keys = [key for batch in batches(dataset(), LENGTH, 0, 2, 0) for key in batch.keys]
    assert sorted(keys[:LENGTH]) == sorted(keys[LENGTH:]) == sorted({f"pair-{number}" for number in range(LENGTH)})
    assert keys[:LENGTH] != keys[LENGTH:]


def test_iterating_leaves_torchs_and_numpys_generators_alone() -> None:
    torch.manual_seed(0)
    before, numpys = torch.get_rng_state(), np.random.get_state()[1].copy()  # type: ignore[index]
    for workers in (0, 2):
        list(batches(dataset(), 8, 0, 2, workers))
    assert torch.equal(torch.get_rng_state(), before)
    assert np.array_equal(np.random.get_state()[1], numpys)  # type: ignore[index]


def test_the_seed_changes_what_is_drawn_in_training_only() -> None:
    def first(training: bool, seed: int) -> Batch:
        return next(iter(batches(dataset(training=training, training__seed=seed), 8, 0, 1, 0)))

    assert first(True, 0).keys != first(True, 1).keys
    assert same(first(False, 0), first(False, 1))


def test_a_pair_is_seen_differently_in_every_epoch() -> None:
    seen: dict[str, list[Any]] = {}
    for position in range(4 * LENGTH):
        sample = dataset()[position]
        seen.setdefault(sample.key, []).append(sample)
    couples = [couple for samples in seen.values() for couple in itertools.combinations(samples, 2)]
    assert np.mean([torch.equal(one.picture, other.picture) for one, other in couples]) < 0.05
    assert np.mean([len({caption(sample) for sample in samples}) for samples in seen.values()]) > 2


def test_captions_are_drawn_evenly() -> None:
    data = dataset()
    kinds = Counter(caption(data[position]).split()[0] for position in range(60 * LENGTH))
    assert set(kinds) == {"first", "second", "third"}
    assert min(kinds.values()) > 0.28 * 60 * LENGTH


def test_validation_takes_the_central_view_and_the_first_caption() -> None:
    data = dataset(training=False)
    for position in range(2 * LENGTH):
        sample = data[position]
        number = int(sample.key.removeprefix("pair-"))
        assert torch.equal(sample.picture, evaluation_picture(picture(number), 16))
        assert caption(sample) == f"first {number}"


def test_prefix_lengths_are_uniform() -> None:
    data = dataset()  # 16 patches
    counts = np.bincount([data[position].prefix_length for position in range(3000)], minlength=17)
    assert counts[0] == 0 and counts[16] == 0
    assert np.abs(counts[1:16] / 3000 - 1 / 15).max() < 0.015


@pytest.mark.parametrize(
    ("training", "streams"), [(True, ["crop", "prefix", "caption"]), (False, ["prefix", "caption"])]
)
def test_every_kind_of_draw_has_a_stream_of_its_own(
    training: bool, streams: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """So that the length of a prefix tells nothing of the crop or the caption."""
    used: list[str] = []

    def noted(*key: Any) -> np.random.Generator:
        used.append(key[3])
        return sample_generator(*key)

    data = dataset(training=training)
    monkeypatch.setattr(data_batches, "sample_generator", noted)
    data[3]
    assert used == streams


def test_prefix_lengths_of_the_ablations() -> None:
    causal = next(iter(batches(dataset(objective__encoder_attention="causal"), 8, 0, 1, 0)))
    assert causal.prefix_lengths.tolist() == [1] * 8
    everything = next(iter(batches(dataset(objective__encoder_attention="bidirectional"), 8, 0, 1, 0)))
    assert everything.counted_patches(16) == 0


def test_what_a_batch_holds() -> None:
    batch = next(iter(batches(dataset(decoder__text_tokens=9), 5, 0, 1, 0)))
    assert batch.pictures.shape == batch.images.shape == (5, 3, 16, 16)
    assert batch.pictures.dtype == torch.uint8 and batch.images.dtype == torch.float32
    assert torch.equal(batch.images, normalise(batch.pictures, pixel_scale(dataset().recipe.data)))
    assert batch.tokens.shape == batch.counted.shape == (5, 9)
    assert batch.tokens.dtype == batch.prefix_lengths.dtype == torch.int64 and batch.counted.dtype == torch.bool
    assert batch.counted_tokens == sum(len(bytes(row).rstrip(b"\0")) for row in batch.tokens.tolist())
    assert torch.equal(batch.counted, batch.tokens != 0) and not batch.counted.all()
    assert batch.counted_patches(16) == sum(16 - length for length in batch.prefix_lengths.tolist())


@pytest.mark.parametrize("size", [1, 2, 3, 8, 100])
def test_micro_batches_add_up_to_the_batch(size: int, damaged_source: ListSource) -> None:
    batch = replace(next(iter(batches(dataset(damaged_source), 8, 0, 1, 0))), keys=tuple("abcdefgh"))
    parts = list(batch.split(size))
    assert batch.replaced
    joined = rejoined(parts)
    assert same(joined.rows(in_order(joined.keys, batch.keys)), replace(batch, replaced=()))
    assert joined.replaced == batch.replaced == parts[0].replaced
    assert sum(part.counted_tokens for part in parts) == batch.counted_tokens
    assert sum(part.counted_patches(16) for part in parts) == batch.counted_patches(16)


def counting(counted: torch.Tensor) -> Batch:
    """A batch of which these tokens count."""
    batch = next(iter(batches(dataset(), len(counted), 0, 1, 0)))
    return replace(batch, tokens=torch.zeros_like(counted, dtype=torch.int64), counted=counted)


def in_order(keys: Sequence[str], wanted: Sequence[str]) -> torch.Tensor:
    return torch.tensor([keys.index(key) for key in wanted])


@pytest.mark.parametrize("size", [1, 2, 3, 8])
def test_micro_batches_have_captions_of_like_length_and_little_padding(size: int) -> None:
    batch = counting(torch.arange(30) < torch.tensor([3, 30, 17, 9, 8, 25, 3, 16])[:, None])
    parts = list(batch.split(size))
    lengths = [part.text_lengths.tolist() for part in parts]
    if size == 8:
        assert len(parts) == 1 and parts[0] is batch
        return
    assert list(itertools.chain(*lengths)) == [30, 25, 17, 16, 9, 8, 3, 3]
    for part, given in zip(parts, lengths, strict=True):
        assert part.tokens.shape == part.counted.shape == (len(given), min(-(-max(given) // 8) * 8, 30))


def test_a_caption_is_not_cut_before_a_token_that_counts() -> None:
    holes = torch.zeros(2, 30, dtype=torch.bool)
    holes[0, [2, 20]] = True
    batch = counting(holes)
    assert batch.text_lengths.tolist() == [21, 0]
    assert [part.tokens.shape[1] for part in batch.split(1)] == [24, 0]


def test_the_text_that_counts_is_found_row_by_row() -> None:
    batch = next(iter(batches(dataset(decoder__text_tokens=9), 5, 0, 1, 0)))
    found = batch.counted_text()
    assert torch.equal(found.tokens, batch.tokens[batch.counted])
    assert torch.equal(batch.tokens.flatten()[found.slots], found.tokens)
    assert found.counted.all()


def test_on_an_accelerator_the_number_of_slots_repeats() -> None:
    """Counted on the CPU: on the meta device, which holds no values, shapes are known all the same."""
    batch = next(iter(batches(dataset(decoder__text_tokens=9), 5, 0, 1, 0))).to("meta")
    slots, tokens, counted = batch.counted_text()
    assert 0 < batch.counted_tokens < 64
    assert slots.shape == tokens.shape == counted.shape == (64,)
    assert {part.counted_text().slots.shape for part in batch.split(2)} == {(64,)}


def test_slots_that_fill_up_count_for_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    batch = next(iter(batches(dataset(decoder__text_tokens=9), 5, 0, 1, 0)))
    count, plain = batch.counted_tokens, batch.counted_text()
    monkeypatch.setattr("aimv2_lab.data.batch.slot_multiple", lambda _: 64)
    filled = batch.counted_text()
    assert len(filled.counted) == 64 and torch.equal(filled.counted, torch.arange(64) < count)
    assert all(torch.equal(long[:count], short) for long, short in zip(filled, plain, strict=True))


def test_a_batch_moves_whole_but_for_what_decides_shapes() -> None:
    moved = next(iter(batches(dataset(), 4, 0, 1, 0))).to("meta")
    tensors = (moved.pictures, moved.images, moved.tokens, moved.prefix_lengths)
    assert {tensor.device.type for tensor in tensors} == {"meta"}
    assert moved.pictures.dtype == torch.uint8  # a quarter of the bytes of what is computed with
    assert moved.counted.device.type == "cpu"
    assert len(moved.keys) == 4


def test_micro_batches_of_8_bit_pictures_are_those_of_normalised_ones() -> None:
    batch = counting(torch.arange(30) < torch.tensor([3, 30, 17, 9, 8, 25, 3, 16])[:, None])
    by_hand = replace(batch, pictures=batch.images, scale=None)
    assert by_hand.images is by_hand.pictures
    for part, expected in zip(batch.split(3), by_hand.split(3), strict=True):
        assert part.pictures.dtype == torch.uint8 and torch.equal(part.images, expected.images)


def test_a_batch_says_whether_its_pictures_are_normalised() -> None:
    batch = next(iter(batches(dataset(), 4, 0, 1, 0)))
    for wrong in ({"pictures": batch.images}, {"scale": None}):
        with pytest.raises(ValueError, match="8-bit pictures need the scale"):
            replace(batch, **wrong)


@pytest.mark.parametrize("workers", [0, 1])
def test_pinned_batches_are_pinned_by_the_loader_beside_the_run(workers: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """As far as that is seen without a GPU: torch's loader believes in one, and pinning is a copy that is noted."""
    pinned: list[tuple[torch.dtype, bool]] = []

    def noted(tensor: torch.Tensor) -> torch.Tensor:
        pinned.append((tensor.dtype, threading.current_thread() is threading.main_thread()))
        return tensor.clone()

    expected = list(batches(dataset(), 8, 0, 2, 0))
    for name, answer in (("is_available", True), ("current_device_index", 0), ("set_device_index", None)):
        monkeypatch.setattr(torch.accelerator, name, lambda *_, answer=answer: answer)
    monkeypatch.setattr(torch.Tensor, "pin_memory", noted)
    found = list(batches(dataset(), 8, 0, 2, workers, pinned=True))
    assert all(same(one, other) for one, other in zip(found, expected, strict=True))
    assert pinned == 2 * [(dtype, workers == 0) for dtype in (torch.uint8, torch.int64, torch.int64)]
    pinned.clear()
    list(batches(dataset(), 8, 0, 1, 0))
    assert not pinned


def test_what_a_gpu_gets_it_fetches_from_pinned_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """A hand-made batch, pinned by nobody yet; without a GPU the sending is noted only."""
    pinned, sent = list[torch.Tensor](), list[torch.Tensor]()

    def pin(tensor: torch.Tensor) -> torch.Tensor:
        pinned.append(tensor.clone())
        return pinned[-1]

    def send(tensor: torch.Tensor, device: torch.device, non_blocking: bool) -> torch.Tensor:
        assert device.type == "cuda" and non_blocking
        sent.append(tensor)
        return tensor

    batch = next(iter(batches(dataset(), 4, 0, 1, 0)))
    monkeypatch.setattr(torch.Tensor, "pin_memory", pin)
    monkeypatch.setattr(torch.Tensor, "to", send)
    there = batch.to("cuda")
    assert len(pinned) == len(sent) == 3 and all(one is other for one, other in zip(pinned, sent, strict=True))
    assert there.pictures is pinned[0] and there.counted is batch.counted


def test_damaged_pairs_are_replaced_and_reported(damaged_source: ListSource) -> None:
    data = dataset(damaged_source)
    bad = {"pair-2", "pair-3", "pair-11", "pair-5", "pair-7"}
    met = Counter[str]()
    for position in range(3 * LENGTH):
        sample, expected = data[position], f"pair-{data.order.place(position).row}"
        assert sample.key not in bad
        assert bool(sample.replaced) == (expected in bad)
        if sample.replaced:
            assert (sample.replaced[0].key, sample.replaced[0].position) == (expected, position)
            assert {found.used_key for found in sample.replaced} == {sample.key}
            met.update((found.key, found.reason.partition(":")[0]) for found in sample.replaced[:1])  # type: ignore[misc]
        else:
            assert sample.key == expected
    assert met == {("pair-2", "zero bytes"): 3, ("pair-3", "zero bytes"): 3, ("pair-11", "zero bytes"): 3} | {
        ("pair-5", "no caption"): 3,
        ("pair-7", "no tokens"): 3,
    }


def test_replacements_differ_from_place_to_place() -> None:
    data = dataset(ListSource(LENGTH, damaged=[4]))
    used = [found.used_key for position in range(10 * LENGTH) for found in data[position].replaced]
    assert len(used) >= 10
    assert len(set(used)) > 4


def test_a_source_with_nothing_usable_stops() -> None:
    with pytest.raises(TooMuchDamage, match=r"position 0 of list: 16 pairs .* zero bytes"):
        dataset(ListSource(LENGTH, damaged=range(LENGTH)))[0]


class Broken(ListSource):
    """From the ninth pair on, reading raises what it is given."""

    def __init__(self, error: Exception) -> None:
        super().__init__(LENGTH)
        self.error = error

    def __getitem__(self, index: int) -> Pair:
        if index > 8:
            raise self.error
        return super().__getitem__(index)


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize(
    "error",
    [
        DamagedArchive("00003.tar gives 5 of 9 bytes at byte 1024"),
        StaleIndex("00003.tar at byte 1024 does not hold the jpg that was indexed there"),
        OSError(errno.ESTALE, "Stale file handle 8 times over: 00003.tar at byte 1024"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_errors_are_the_same_from_a_worker(workers: int, error: Exception) -> None:
    """Type, message and number; the worker's traceback is a note."""
    with pytest.raises(type(error)) as raised:
        list(batches(dataset(Broken(error)), 8, 0, 6, workers))
    assert str(raised.value) == str(error) and raised.value.args == error.args
    assert ("raise self.error" in "".join(getattr(raised.value, "__notes__", []))) == (workers > 0)


def test_full_shared_memory_ends_the_run(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where torch itself finds it full, a thread of the worker ends, and the run waits forever."""

    def full(_tensor: torch.Tensor) -> torch.Tensor:
        raise RuntimeError("unable to allocate shared memory(shm): No space left on device (28)")

    monkeypatch.setattr(torch.Tensor, "share_memory_", full)
    with pytest.raises(
        OSError, match=r"no room for a batch of 0.0 MB: unable .* \(28\).* data.workers = 1, and one more"
    ):
        list(batches(dataset(), 8, 0, 6, workers=1))


def test_damage_survives_the_way_from_a_worker() -> None:
    copied = pickle.loads(pickle.dumps(DamagedImage("a key", "zero bytes")))
    assert (copied.key, copied.reason, str(copied)) == ("a key", "zero bytes", "a key: zero bytes")


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: batches(dataset(), 8, 0, 1, 0, rank=0, world_size=3), "8 cannot be cut into 3"),
        (lambda: batches(dataset(), 8, 0, 1, 0, rank=2, world_size=2), "rank 2"),
        (lambda: dataset(encoder__patch_size=16), "one patch"),
        (lambda: dataset(ListSource(0)), "empty"),
        (lambda: next(iter(batches(dataset(), 4, 0, 1, 0))).split(0), "micro-batch size 0"),
    ],
)
def test_what_cannot_be_done_is_refused(call: Callable[[], object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call()
