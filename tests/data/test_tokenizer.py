"""Tokenizers: round trips, the end token, cutting, padding, cleaning, and errors that help."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import AutoTokenizer, PreTrainedTokenizerFast

from aimv2_lab.data.captions import words
from aimv2_lab.data.tokenizer import CaptionTokenizer, clean_caption, load_tokenizer
from aimv2_lab.data.world.source import WorldSource

CAPTIONS = [text for index in range(40) for text in WorldSource("rich", "train", views=3).captions(index)]
TEXTS = [caption.text for caption in CAPTIONS]


def make(name: str) -> CaptionTokenizer:
    return load_tokenizer(name, 400, lambda: TEXTS)


BOTH = pytest.mark.parametrize("name", ["world", "captions"])


@BOTH
def test_round_trip(name: str) -> None:
    tokenizer = make(name)
    tokens, _ = tokenizer.encode(TEXTS, 400)
    assert tokens.dtype == torch.int64
    assert [tokenizer.decode(row) for row in tokens] == TEXTS
    assert int(tokens.max()) < tokenizer.vocabulary_size


def test_byte_level_round_trip_of_any_text() -> None:
    texts = ["Ωmega — naïve café", "一二三 🦊 done", "tabs\tand\nlines"]
    tokenizer = make("captions")
    tokens, _ = tokenizer.encode(texts, 200)
    assert [tokenizer.decode(row) for row in tokens] == [*texts[:2], "tabs and lines"]


@BOTH
def test_end_is_counted_and_pads_are_not(name: str) -> None:
    tokenizer = make(name)
    tokens, counted = tokenizer.encode(["a red circle.", "a star above a small blue bar."], 60)
    lengths = counted.sum(dim=1)
    assert tokens.shape == counted.shape == (2, int(lengths.max()))
    assert lengths[0] < lengths[1]
    for row, counts, length in zip(tokens.tolist(), counted.tolist(), lengths.tolist(), strict=True):
        assert counts == [True] * length + [False] * (len(row) - length)
        assert row[length - 1] == tokenizer.end_id
        assert tokenizer.end_id not in row[: length - 1]
        assert set(row[length:]) <= {tokenizer.pad_id}


def test_words_end_with_the_end_token() -> None:
    tokenizer = make("world")
    tokens, counted = tokenizer.encode(TEXTS, 60)
    for row, counts, text in zip(tokens, counted, TEXTS, strict=True):
        said = tokenizer.words(row)
        assert said[-1] == "end" and len(said) == int(counts.sum())
        assert " ".join(said[:-1]).replace(" .", ".").replace(" ,", ",") == text
        assert tokenizer.words(row[:2]) == said[:2]  # nothing is added where no end token stands
    assert "end" not in words()


@BOTH
def test_long_captions_are_cut_and_still_end(name: str) -> None:
    tokenizer = make(name)
    whole, _ = tokenizer.encode(TEXTS, 400)
    cut, counted = tokenizer.encode(TEXTS, 8)
    assert cut.shape == (len(TEXTS), 8)
    for long, short, counts in zip(whole, cut, counted, strict=True):
        length = int(counts.sum())
        assert short[length - 1] == tokenizer.end_id
        assert torch.equal(short[: length - 1], long[: length - 1])
        assert length == min(8, int((long == tokenizer.end_id).nonzero()[0]) + 1)


def test_fixed_length_pads_to_it() -> None:
    tokens, counted = make("world").encode(["a star."], 20, fixed_length=True)
    assert tokens.shape == (1, 20)
    assert counted.tolist() == [[True] * 4 + [False] * 16]


def test_nothing_is_added_in_front() -> None:
    tokenizer = make("world")
    tokens, _ = tokenizer.encode(["circle"], 5)
    assert tokens.tolist() == [[tokenizer.tokenizer.convert_tokens_to_ids("circle"), tokenizer.end_id]]


def one_id_for_both() -> CaptionTokenizer:
    """A tokenizer like SigLIP's: the end token is also the pad token, id 1."""
    core = Tokenizer(models.WordLevel({"<unk>": 0, "</s>": 1, "red": 2, "circle": 3}, unk_token="<unk>"))
    core.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    fast = PreTrainedTokenizerFast(tokenizer_object=core, eos_token="</s>", pad_token="</s>", unk_token="<unk>")
    return CaptionTokenizer(fast, 1, 1)


def test_counting_goes_by_length_where_end_and_pad_are_one_id() -> None:
    tokens, counted = one_id_for_both().encode(["red circle", "red"], 10)
    assert tokens.tolist() == [[2, 3, 1], [2, 1, 1]]
    assert counted.tolist() == [[True, True, True], [True, True, False]]
    assert one_id_for_both().decode(tokens[1]) == "red"


@BOTH
def test_special_tokens_in_a_text_are_plain_text(name: str) -> None:
    tokenizer = make(name)
    tokens, counted = tokenizer.encode(["a </s> star <pad> here"], 60)
    row = tokens[0].tolist()
    assert row.count(tokenizer.end_id) == 1 and row[-1] == tokenizer.end_id
    assert tokenizer.pad_id not in row
    assert counted.all()


@BOTH
def test_saved_and_read_back(name: str, tmp_path: Path) -> None:
    tokenizer = make(name)
    tokenizer.save(tmp_path)
    again = load_tokenizer(str(tmp_path))
    assert (again.end_id, again.pad_id, again.cleans) == (tokenizer.end_id, tokenizer.pad_id, tokenizer.cleans)
    assert torch.equal(again.encode(TEXTS, 60)[0], tokenizer.encode(TEXTS, 60)[0])
    assert again.decode(again.encode(TEXTS[:1], 400)[0][0]) == TEXTS[0]
    plain = AutoTokenizer.from_pretrained(tmp_path)
    assert plain.encode(TEXTS[0], add_special_tokens=False) == again.encode(TEXTS[:1], 400)[0][0, :-1].tolist()


@BOTH
def test_made_the_same_every_time(name: str) -> None:
    assert make(name).tokenizer.get_vocab() == make(name).tokenizer.get_vocab()


def test_content_tells_tokenizers_apart_and_not_where_they_were_loaded_from(tmp_path: Path) -> None:
    def trained(*captions: str) -> CaptionTokenizer:
        return load_tokenizer("captions", 300, lambda: captions * 20)

    tokenizer = trained("a red circle", "a blue bar")
    tokenizer.save(tmp_path)
    assert load_tokenizer(str(tmp_path)).content() == tokenizer.content()
    tokenizer.encode(["a red bar"], 77)
    assert trained("a red circle", "a blue bar").content() == tokenizer.content()
    others = [trained("an owl", "a cat"), load_tokenizer("world"), replace(tokenizer, cleans=True)]
    assert len({tokenizer.content(), *(other.content() for other in others)}) == 4


def test_world_vocabulary_is_the_lexicon() -> None:
    tokenizer = make("world")
    assert tokenizer.vocabulary_size == len(words()) + 3 <= 256
    unknown = tokenizer.tokenizer.unk_token_id
    assert all(tokenizer.tokenizer.convert_tokens_to_ids(word) not in (unknown, None) for word in words())


def test_trained_vocabulary_keeps_to_its_size() -> None:
    assert make("captions").vocabulary_size == 400
    assert len(make("captions").encode(["a red circle above a small square."], 99)[0][0]) < 20


def test_siglip_captions_are_cleaned_and_stay_so_after_saving(tmp_path: Path) -> None:
    assert clean_caption("  A Dog's\n\tLIFE, (really)! ") == "a dogs life really"
    folder = tmp_path / "siglip-like"
    make("world").tokenizer.save_pretrained(folder)
    config = folder / "tokenizer_config.json"
    config.write_text(config.read_text().replace('"clean_captions": false,', ""))
    tokenizer = load_tokenizer(str(folder))
    assert tokenizer.cleans
    expected = [tokenizer.encode(["a red circle"], 9)[0][0].tolist()]
    assert tokenizer.encode(["A red, CIRCLE!"], 9)[0].tolist() == expected
    tokenizer.save(tmp_path / "run")
    assert load_tokenizer(str(tmp_path / "run")).cleans
    assert not make("world").cleans
    folder.rename(tmp_path / "siglip2-like")
    assert not load_tokenizer(str(tmp_path / "siglip2-like")).cleans


@BOTH
@pytest.mark.parametrize("bad", ["", "  \n", None, 7, b"bytes"])
def test_captions_without_text_are_refused_with_their_place(name: str, bad: object) -> None:
    with pytest.raises(ValueError, match="caption 1 of the batch"):
        make(name).encode(["a star.", bad], 9)  # type: ignore[list-item]


def test_errors_name_the_value_and_the_remedy(tmp_path: Path) -> None:
    tokenizer = make("world")
    with pytest.raises(ValueError, match="max_tokens = 1"):
        tokenizer.encode(["a star."], 1)
    with pytest.raises(ValueError, match=r"has 94 entries.*decoder.vocabulary is 90"):
        tokenizer.check_vocabulary(90)
    tokenizer.check_vocabulary(95)
    with pytest.raises(OSError, match=r"'no-such/tokenizer' was found neither.*data.tokenizer"):
        load_tokenizer("no-such/tokenizer")
    with pytest.raises(ValueError, match="give `captions` and `vocabulary`"):
        load_tokenizer("captions")
    with pytest.raises(ValueError, match=r"vocabulary = 200 .* at least 258"):
        load_tokenizer("captions", 200, lambda: TEXTS)
    endless = PreTrainedTokenizerFast(tokenizer_object=Tokenizer(models.WordLevel({"<unk>": 0}, unk_token="<unk>")))
    endless.save_pretrained(tmp_path)
    with pytest.raises(ValueError, match="has no end token"):
        load_tokenizer(str(tmp_path))
