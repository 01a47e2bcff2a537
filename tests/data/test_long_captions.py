"""Of a very long caption only the beginning is tokenised, and the ids are those of the whole."""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable

import pytest
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast

from aimv2_lab.data.tokenizer import CHARACTERS_A_TOKEN, CaptionTokenizer, NoTokens, clean_caption, load_tokenizer
from aimv2_lab.data.world.source import WorldSource

TEXTS = [caption.text for index in range(30) for caption in WorldSource("rich", "train", views=3).captions(index)]
# What makes tokens of many letters, of few, and across words.
LEARNT = [*TEXTS, "aaaaaaaaaaaa ababababab", "naïve café — Ωmega", "一二三 一二", "a   b      c", "12345 678 901234"]
MOST = 7
CUT = CHARACTERS_A_TOKEN * MOST


def wrapped(core: Tokenizer, cleans: bool = False) -> CaptionTokenizer:
    fast = PreTrainedTokenizerFast(tokenizer_object=core, eos_token="</s>", pad_token="<pad>", unk_token="<unk>")
    return CaptionTokenizer(fast, fast.eos_token_id, fast.pad_token_id, cleans)


def trained(core: Tokenizer, trainer: trainers.Trainer) -> Tokenizer:
    core.train_from_iterator(LEARNT, trainer)
    return core


SPECIAL = ["<pad>", "</s>", "<unk>"]


def unigram() -> Tokenizer:
    """As SigLIP's and T5's: words split where a space became a mark, pieces by the likeliest path."""
    core = Tokenizer(models.Unigram())
    core.normalizer = normalizers.Sequence([normalizers.NFKC(), normalizers.Replace("  ", " ")])
    core.pre_tokenizer = pre_tokenizers.Metaspace()
    core.decoder = decoders.Metaspace()
    return trained(core, trainers.UnigramTrainer(vocab_size=300, special_tokens=SPECIAL, unk_token="<unk>"))


def whole_text_bpe() -> Tokenizer:
    """As Gemma's, which SigLIP 2 has: no words, merges over the whole text, unknown letters as bytes."""
    split = Tokenizer(models.BPE(unk_token="<unk>"))
    split.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="never")
    byte_tokens = [f"<0x{number:02X}>" for number in range(256)]
    trained(split, trainers.BpeTrainer(vocab_size=700, special_tokens=[*SPECIAL, *byte_tokens], show_progress=False))
    core = Tokenizer.from_str(split.to_str().replace('"byte_fallback":false', '"byte_fallback":true'))
    core.normalizer = normalizers.Replace(" ", "▁")
    core.pre_tokenizer = pre_tokenizers.Split(" ", "merged_with_previous")
    return core


def byte_bpe() -> Tokenizer:
    """As GPT-2's: white space is kept."""
    core = Tokenizer(models.BPE())
    core.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    return trained(core, trainers.BpeTrainer(vocab_size=500, special_tokens=SPECIAL, initial_alphabet=alphabet))


def word_pieces() -> Tokenizer:
    """As BERT's: a word of more than a hundred letters is one unknown token."""
    core = Tokenizer(models.WordPiece(unk_token="<unk>"))
    core.normalizer = normalizers.BertNormalizer()
    core.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    return trained(core, trainers.WordPieceTrainer(vocab_size=300, special_tokens=SPECIAL, show_progress=False))


TOKENIZERS: dict[str, Callable[[], CaptionTokenizer]] = {
    "world": lambda: load_tokenizer("world"),
    "captions": lambda: load_tokenizer("captions", 500, lambda: LEARNT),
    "unigram": lambda: wrapped(unigram()),
    "siglip": lambda: wrapped(unigram(), cleans=True),
    "whole text": lambda: wrapped(whole_text_bpe()),
    "bytes": lambda: wrapped(byte_bpe()),
    "word pieces": lambda: wrapped(word_pieces()),
}


@pytest.fixture(scope="module", params=TOKENIZERS)
def tokenizer(request: pytest.FixtureRequest) -> CaptionTokenizer:
    return TOKENIZERS[request.param]()


UNITS = (
    "a",
    "ab",
    "aab",
    "a red circle. ",
    "一二三",
    "7",
    "123 ",
    " ",
    "\t\n",
    ".",
    "é",
    "e\u0301",
    "각",
    "ᄀ",
    "🦊",
    "Ω",
    "x ",
)
ODD = {
    "one long word after a short one": "a " + "ab" * 5000,
    "long words": " ".join(["a" * 700, "b" * 701, "ab" * 900]),
    "marks that are sorted": "a" + "\u0301" * 3000 + "\u0323" + " circle" * 400,
    "marks to the end": "a" + "\u0301" * 3000 + "\u0323",
    "space, then words": "a" + " " * 3000 + "red circle " * 300,
    "special tokens": "</s> <pad> " * 500,
    "sigma at the end": "Σ" * 2000,
    "joined emoji": "👩\u200d👩\u200d👧" * 400,
    "no-break spaces": "red\u00a0circle\u3000" * 300,
}


def uncut(tokenizer: CaptionTokenizer, text: str) -> list[int]:
    ids = tokenizer._whole(clean_caption(text) if tokenizer.cleans else text)[:MOST]
    return [*ids, tokenizer.end_id]


def same(tokenizer: CaptionTokenizer, text: str) -> bool:
    whole = uncut(tokenizer, text)
    if len(whole) == 1:
        with pytest.raises(NoTokens):
            tokenizer.encode([text], MOST + 1)
        return True
    return bool(tokenizer.encode([text], MOST + 1)[0][0].tolist() == whole)


@pytest.mark.parametrize("unit", UNITS)
def test_repeated_text_is_cut_without_a_trace(unit: str, tokenizer: CaptionTokenizer) -> None:
    """At every length about where it is cut first, and at others."""
    near = range(CUT - 3, CUT + 4)
    for length in (*near, *range(2 * CUT - 3, 2 * CUT + 4), 3000, 3001, 3002, 3003):
        assert same(tokenizer, (unit * length)[:length].strip() or "a"), length


@pytest.mark.parametrize("kind", ODD)
def test_odd_texts_are_cut_without_a_trace(kind: str, tokenizer: CaptionTokenizer) -> None:
    text = ODD[kind]
    assert same(tokenizer, text) and same(tokenizer, text[1:]) and same(tokenizer, text[::-1])


def test_random_texts_are_cut_without_a_trace(tokenizer: CaptionTokenizer) -> None:
    draws = random.Random(0)
    for _ in range(60):
        few = draws.choices(["a", "b", " ", "é", "\u0301", "\u0323", "一", "1", ".", "aa", "circle", "\n"], k=4)
        assert same(tokenizer, "".join(draws.choices(few, k=draws.randrange(CUT, 4 * CUT)))), few


def ten_million(unit: str) -> str:
    return "".join(itertools.repeat(unit, 10_000_000 // len(unit)))


def check_beginning(tokenizer: CaptionTokenizer, text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The ids are those of the whole, and less than a hundredth of it was ever tokenised."""
    read: list[int] = []
    whole = CaptionTokenizer._whole

    def noted(self: CaptionTokenizer, part: str) -> list[int]:
        read.append(len(part))
        return whole(self, part)

    monkeypatch.setattr(CaptionTokenizer, "_whole", noted)
    ids = tokenizer.encode([text], 77)[0][0].tolist()
    assert 0 < sum(read) < len(text) / 100
    assert ids == [*whole(tokenizer, text[:20_000])[:76], tokenizer.end_id]


def test_of_ten_million_characters_the_beginning_is_tokenised(
    tokenizer: CaptionTokenizer, monkeypatch: pytest.MonkeyPatch
) -> None:
    check_beginning(tokenizer, ten_million("a red circle "), monkeypatch)


@pytest.mark.parametrize("unit", ["aab", "一二三", "🦊"])
def test_without_white_space_too(unit: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where each letter may be a token; one endless word that is one token is read to its end."""
    check_beginning(TOKENIZERS["captions"](), ten_million(unit), monkeypatch)
