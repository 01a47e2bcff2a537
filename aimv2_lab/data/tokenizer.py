"""Captions as token numbers, the same way for the toy vocabulary, a trained one and the published ones."""

from __future__ import annotations

import copy
import json
import re
import string
import unicodedata
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import torch
from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers
from tokenizers.processors import TemplateProcessing
from torch import Tensor
from transformers import AutoTokenizer, PreTrainedTokenizerBase, PreTrainedTokenizerFast

from aimv2_lab.data.captions import words

PAD, END, UNKNOWN = "<pad>", "</s>", "<unk>"
CHARACTERS_A_TOKEN = 64  # longer captions than this are cut before they are read; our choice: far beyond any language
_CLEANS = "clean_captions"  # kept in a saved tokenizer's configuration


class NoTokens(ValueError):
    """A caption of which the tokenizer leaves nothing, such as punctuation alone."""


@dataclass(frozen=True)
class CaptionTokenizer:
    """A transformers tokenizer with this project's way of ending, cutting and padding captions.

    - Begin: none is added for the decoder, which has a learned start vector, not a vocabulary entry (released training
      code). A text tower gets the tokenizer's own, where it has one: `with_begin` (the released LiT model, CLIP).
    - End: one end token after every caption. It is a target like any other, so the decoder learns to stop (paper,
      Figure 1: the end token is the last target).
    - Cut: at most `max_tokens` tokens, the end token included; 77 at full scale (paper, section 2.2). A caption that
      is cut still ends with the end token; that is our choice.
    - Pad: on the right, and never counted. Which tokens count is decided by length, not by id, because SigLIP's
      tokenizer pads with its end token (both are id 1). The released code ignores that id and so never trains the
      end token; counting the first one is our choice.
    - SigLIP's captions are lower-cased, freed of ASCII punctuation and of doubled spaces first, as SigLIP's own
      training code does; `cleans` says whether this happens. It does where the last part of the name holds "siglip".
    - Text that looks like a special token ("</s>") is read as plain text.
    """

    tokenizer: PreTrainedTokenizerBase
    end_id: int
    pad_id: int
    cleans: bool = False
    begin_id: int | None = None

    @property
    def vocabulary_size(self) -> int:
        """Number of ids, special and added ones included."""
        return len(self.tokenizer)

    def encode(self, texts: Sequence[str], max_tokens: int, fixed_length: bool = False) -> tuple[Tensor, Tensor]:
        """Token ids and which of them count. Shapes (B, T), int64 and bool.

        T is the longest caption of the batch, or `max_tokens` with `fixed_length`. Raises ValueError for an empty or
        non-string caption, naming its place, and for a `max_tokens` below 2.
        """
        begin = [] if self.begin_id is None else [self.begin_id]
        if max_tokens < 2 + len(begin):
            raise ValueError(f"max_tokens = {max_tokens}; a caption needs at least one token and the end token")
        most = max_tokens - 1 - len(begin)
        rows = [[*begin, *self._ids(text, place, most), self.end_id] for place, text in enumerate(texts)]
        length = max_tokens if fixed_length else max(map(len, rows), default=0)
        tokens = torch.full((len(rows), length), self.pad_id, dtype=torch.int64)
        counted = torch.zeros((len(rows), length), dtype=torch.bool)
        for row, ids in enumerate(rows):
            tokens[row, : len(ids)] = torch.tensor(ids)
            counted[row, : len(ids)] = True
        return tokens, counted

    def decode(self, ids: Sequence[int] | Tensor) -> str:
        """The text of one row of ids, up to its first end token."""
        row = [int(i) for i in ids]
        if self.end_id in row:
            row = row[: row.index(self.end_id)]
        return str(self.tokenizer.decode([i for i in row if i not in (self.pad_id, self.begin_id)])).strip()

    def words(self, ids: Sequence[int] | Tensor) -> list[str]:
        """What each id of one row stands for, up to its first end token, which is called "end".

        These are words where one word is one token, as in the generated world; elsewhere they are pieces of words.
        """
        row = [int(i) for i in ids]
        if self.end_id in row:
            row = row[: row.index(self.end_id) + 1]
        names = map(str, self.tokenizer.convert_ids_to_tokens(row))
        return ["end" if number == self.end_id else name for number, name in zip(row, names, strict=True)]

    def with_begin(self) -> CaptionTokenizer:
        """The same, with the tokenizer's own begin token before every caption; unchanged where it has none, or has one
        that is the end token as well, at which a text tower would be read."""
        begin = self.tokenizer.bos_token_id
        return replace(self, begin_id=None if begin == self.end_id else begin)

    def save(self, folder: str | Path) -> None:
        """Write the tokenizer so that `load_tokenizer(folder)` and transformers' AutoTokenizer read it."""
        self.tokenizer.save_pretrained(str(folder))

    def content(self) -> bytes:
        """All that decides which tokens a text becomes, the same wherever the tokenizer was loaded from."""
        rules = getattr(self.tokenizer, "backend_tokenizer", None)  # absent where it is written in Python
        known = [sorted(self.tokenizer.get_vocab().items()), self.end_id, self.pad_id, self.cleans]
        return json.dumps([known, rules.to_str() if rules else type(self.tokenizer).__name__]).encode()

    def ending(self, folder: str | Path) -> None:
        """Write the tokenizer so that AutoTokenizer adds the begin and end tokens by itself, as `encode` does.

        Raises ValueError for one that does more to a text than its files can say: SigLIP's, or one written in Python.
        """
        known = copy.deepcopy(self.tokenizer)
        if self.cleans or not isinstance(known, PreTrainedTokenizerFast):
            raise ValueError(
                f"the tokenizer {known.name_or_path!r} ({type(known).__name__}) cannot be written so that transformers "
                "reads texts as this project does: train with another, or use the run folder with aimv2_lab"
            )
        if known.pad_token is None:
            known.pad_token = str(known.convert_ids_to_tokens(self.pad_id))
        special = [i for i in (self.begin_id, self.end_id) if i is not None]
        names = dict(zip(special, map(str, known.convert_ids_to_tokens(special)), strict=True))
        begin = "" if self.begin_id is None else f"{names[self.begin_id]} "
        known.backend_tokenizer.post_processor = TemplateProcessing(
            single=f"{begin}$A {names[self.end_id]}", special_tokens=[(name, i) for i, name in names.items()]
        )
        known.save_pretrained(str(folder))

    def check_vocabulary(self, recipe_vocabulary: int, field: str = "decoder.vocabulary") -> None:
        """Raise ValueError when the model's vocabulary, the recipe's `field`, is smaller than the tokenizer's."""
        if self.vocabulary_size > recipe_vocabulary:
            raise ValueError(
                f"the tokenizer has {self.vocabulary_size} entries, the recipe's {field} is {recipe_vocabulary}; raise "
                f"{field} or choose a smaller tokenizer"
            )

    def _ids(self, text: str, place: int, most: int) -> list[int]:
        """The first ids of one caption, `most` of them or fewer, without special tokens."""
        if not isinstance(text, str):
            raise ValueError(f"caption {place} of the batch is {type(text).__name__} {text!r}; it must be a string")
        ids = self._beginning(clean_caption(text) if self.cleans else text, most)
        if not ids:
            raise NoTokens(
                f"caption {place} of the batch, {text!r:.200}, has no tokens; drop the pair or give it a text"
            )
        return ids[:most]

    def _beginning(self, text: str, most: int) -> list[int]:
        """The ids of a text, or of enough of a very long one that the first `most` are those of the whole.

        A text is cut at white space, where tokenizers begin a new word. Where there is none, it is cut if it begins
        with the same ids for every cut within the length of the longest token: at one of them a token of the whole
        ends, and what stands before that is read as if it stood alone. Ever more is read until there is such a cut.
        """
        length = CHARACTERS_A_TOKEN * most
        while length < len(text):
            space = text.rfind(" ", length // 2, length)
            at_space, end = space > 0, space if space > 0 else length
            # Marks are sorted before they are joined to their letter, however many there are: no cut between them.
            if at_space or not unicodedata.combining(text[end]):
                ids = self._whole(text[:end])
                others = () if at_space else range(end - self._longest, end)
                if len(ids) >= 2 * most and all(self._whole(text[:cut])[:most] == ids[:most] for cut in others):
                    return ids
            length *= 8
        return self._whole(text)

    @cached_property
    def _longest(self) -> int:
        """Characters of the longest token."""
        return max(map(len, self.tokenizer.get_vocab()))

    def _whole(self, text: str) -> list[int]:
        return list(self.tokenizer.encode(text, add_special_tokens=False, split_special_tokens=True))


def clean_caption(text: str) -> str:
    """Lower-case, drop ASCII punctuation, collapse white space: what SigLIP's training code does to captions."""
    return " ".join(text.lower().translate(str.maketrans("", "", string.punctuation)).split())


def load_tokenizer(
    name_or_path: str, vocabulary: int | None = None, captions: Callable[[], Iterable[str]] | None = None
) -> CaptionTokenizer:
    """The tokenizer of that name.

    "world" is the word-level tokenizer of the generated world; "captions" is a byte-level BPE with at most
    `vocabulary` entries, trained on what `captions` returns (called only then); anything else is a folder or a hub
    name for `AutoTokenizer.from_pretrained`. Raises ValueError when "captions" lacks its two arguments or a tokenizer
    has no end token, OSError when a name can be found neither on disk nor on the hub.
    """
    if name_or_path == "world":
        return _wrap(_world_tokenizer(), cleans=False)
    if name_or_path == "captions":
        if captions is None or vocabulary is None:
            raise ValueError('tokenizer "captions" is trained on the run\'s captions: give `captions` and `vocabulary`')
        return _wrap(_trained_tokenizer(captions(), vocabulary), cleans=False)
    tokenizer = _pretrained(name_or_path)
    is_siglip = re.search("siglip(?!2)", Path(name_or_path).name.lower()) is not None  # version 2 cleans otherwise
    return _wrap(tokenizer, cleans=bool(tokenizer.init_kwargs.get(_CLEANS, is_siglip)))


def _pretrained(name_or_path: str) -> PreTrainedTokenizerBase:
    """Read a tokenizer from a folder or the hub, with an error that says what to do."""
    try:
        return AutoTokenizer.from_pretrained(name_or_path)
    except (OSError, ValueError, ImportError) as error:
        raise OSError(
            f"tokenizer {name_or_path!r} was found neither as a folder here nor on the hub. Check the name; without "
            f'network give the path of a downloaded copy, or "captions" or "world" as data.tokenizer. ({error})'
        ) from error


def _wrap(tokenizer: PreTrainedTokenizerBase, cleans: bool) -> CaptionTokenizer:
    """Find the end and pad tokens; some tokenizers call the end "separator", and those without pad pad with end."""
    end = tokenizer.eos_token_id if tokenizer.eos_token_id is not None else tokenizer.sep_token_id
    if end is None:
        raise ValueError(f"tokenizer {tokenizer.name_or_path!r} has no end token; choose one that has eos_token set")
    pad = tokenizer.pad_token_id if tokenizer.pad_token_id is not None else end
    tokenizer.init_kwargs[_CLEANS] = cleans
    return CaptionTokenizer(tokenizer, end, pad, cleans)


def _world_tokenizer() -> PreTrainedTokenizerFast:
    """One token per word of the generated world's lexicon, in alphabetical order after pad, end and unknown."""
    entries = {word: number for number, word in enumerate((PAD, END, UNKNOWN, *words()))}
    core = Tokenizer(models.WordLevel(entries, unk_token=UNKNOWN))
    core.normalizer = normalizers.Lowercase()
    core.pre_tokenizer = pre_tokenizers.Whitespace()
    core.decoder = decoders.WordPiece(prefix="##", cleanup=True)  # no space before full stops and commas
    return PreTrainedTokenizerFast(tokenizer_object=core, pad_token=PAD, eos_token=END, unk_token=UNKNOWN)


def _trained_tokenizer(captions: Iterable[str], vocabulary: int) -> PreTrainedTokenizerFast:
    """A byte-level BPE: knows every text, and is the same for the same captions in the same order."""
    least = 256 + 2
    if vocabulary < least:
        raise ValueError(f"vocabulary = {vocabulary} for a byte-level BPE; it needs at least {least} (bytes, pad, end)")
    core = Tokenizer(models.BPE())
    one_space = normalizers.Replace(Regex(r"\s+"), " ")
    core.normalizer = normalizers.Sequence([normalizers.NFC(), one_space, normalizers.Strip()])
    core.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    core.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary,
        special_tokens=[PAD, END],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    core.train_from_iterator(captions, trainer)
    return PreTrainedTokenizerFast(tokenizer_object=core, pad_token=PAD, eos_token=END)
