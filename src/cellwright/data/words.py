"""Sequences of words: checking them, numbering words and letters, cutting them into batches."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from cellwright.errors import DataError, ShapeError
from cellwright.models.tagger import PADDING, UNKNOWN

__all__ = ["NumberedWords", "WordBatch", "WordIndex", "WordSequences", "are_words"]

# Longer words, such as addresses, are read as their first and last letters.
_MOST_LETTERS = 32
_FIRST_NUMBER = 2  # padding and unknown come before


@dataclass(frozen=True, eq=False)
class WordSequences:
    """Checked lists of words: at least one word each, no word without a letter.

    Attributes
    ----------
    sentences
        For each sample its words.
    """

    sentences: Sequence[Sequence[str]]

    @classmethod
    def of(cls, X: Any, name: str = "X") -> WordSequences:  # noqa: N803
        """Check lists of words.

        Raises
        ------
        DataError
            A sample has no words, or something in it is no word; the message names sample and
            step.
        ShapeError
            A sample is one text and not a list of words.
        """
        if isinstance(X, WordSequences):
            return X
        if isinstance(X, (str, bytes, dict)) or not hasattr(X, "__len__"):
            raise DataError(f"{name}: expected a list of lists of words, got {type(X).__name__}")
        if len(X) == 0:
            raise DataError(f"{name} is empty; give at least one sequence")
        return cls([_checked(words, f"{name}[{number}]") for number, words in enumerate(X)])

    def __len__(self) -> int:
        return len(self.sentences)

    def __iter__(self) -> Iterator[Sequence[str]]:
        return iter(self.sentences)

    @cached_property
    def lengths(self) -> npt.NDArray[np.int64]:
        """Number of words of each sample."""
        return np.array([len(words) for words in self.sentences], dtype=np.int64)

    @property
    def fingerprint(self) -> str:
        """A digest of all words, to tell whether two data sets are the same."""
        digest = hashlib.blake2b(self.lengths.tobytes(), digest_size=16)
        for words in self.sentences:
            digest.update("\0".join(words).encode("utf-8", "surrogatepass"))
        return digest.hexdigest()

    def take(self, rows: npt.NDArray[np.int64]) -> WordSequences:
        """The samples of these rows."""
        return WordSequences([self.sentences[row] for row in rows])


def are_words(X: Any) -> bool:  # noqa: N803
    """Whether samples look like lists of words, and not like arrays of numbers."""
    if isinstance(X, WordSequences):
        return True
    if isinstance(X, (str, bytes, dict)) or not hasattr(X, "__len__") or len(X) == 0:
        return False
    try:
        first = X[0]
        return isinstance(first, str) or (len(first) > 0 and isinstance(first[0], str))
    except (TypeError, LookupError):
        return False


def _checked(words: Any, name: str) -> list[str]:
    if isinstance(words, str):
        raise ShapeError(f"{name}: expected a list of words, got one text, {words[:40]!r}")
    if isinstance(words, (bytes, dict)) or not hasattr(words, "__iter__"):
        raise DataError(f"{name}: expected a list of words, got {type(words).__name__}")
    words = list(words)
    if not words:
        raise DataError(f"{name} has no words")
    for step, word in enumerate(words):
        if not isinstance(word, str):
            raise DataError(f"{name}: expected a word at step {step}, got {type(word).__name__}")
        if not word.strip():
            raise DataError(f"{name}: the word at step {step} is empty")
    return [str(word) for word in words]


@dataclass(frozen=True)
class WordBatch:
    """Some samples of words, padded to the longest of them.

    Attributes
    ----------
    words, lengths, letters, letter_counts, spelled
        As `TaggerNetwork` takes them.
    rows
        Which samples these are, (batch,).
    targets
        What is to be learned at each word, (batch, time, answer).
    counted
        Which of them count, (batch, time).
    """

    words: Tensor
    lengths: Tensor
    letters: Tensor
    letter_counts: Tensor
    spelled: Tensor
    rows: npt.NDArray[np.int64]
    targets: Tensor | None = None
    counted: Tensor | None = None

    @property
    def answers(self) -> int:
        """How many answers count."""
        return len(self.rows) if self.counted is None else int(self.counted.sum())


@dataclass(frozen=True)
class WordIndex:
    """The words and letters that a network knows.

    Attributes
    ----------
    words, characters
        From number 2 on, the most frequent first.
    lowercase
        Whether words are looked up without their capitals; letters always keep them.
    """

    words: tuple[str, ...]
    characters: tuple[str, ...]
    lowercase: bool = True

    @classmethod
    def learn(cls, given: WordSequences, *, least: int = 1, lowercase: bool = True) -> WordIndex:
        """Number what occurs at least `least` times; every letter that occurs."""
        counts = Counter(word for words in given for word in words)
        letters: Counter[str] = Counter()
        for word, count in counts.items():
            for letter in word:
                letters[letter] += count
        if lowercase:
            lowered: Counter[str] = Counter()
            for word, count in counts.items():
                lowered[word.lower()] += count
            counts = lowered
        # Those of one frequency in alphabetical order, so that the same data give the same numbers.
        frequent = sorted((-count, word) for word, count in counts.items() if count >= least)
        found = sorted((-count, letter) for letter, count in letters.items())
        return cls(tuple(word for _, word in frequent), tuple(c for _, c in found), lowercase)

    @property
    def sizes(self) -> tuple[int, int]:
        """Entries of the vocabularies of words and of letters, padding and unknown included."""
        return len(self.words) + _FIRST_NUMBER, len(self.characters) + _FIRST_NUMBER

    def number(self, given: WordSequences) -> NumberedWords:
        """Words as numbers."""
        numbers = {word: at for at, word in enumerate(self.words, _FIRST_NUMBER)}
        letters = {letter: at for at, letter in enumerate(self.characters, _FIRST_NUMBER)}
        types = {word: at for at, word in enumerate(dict.fromkeys(w for s in given for w in s))}
        known, spelling = [], []
        for word in types:
            known.append(numbers.get(word.lower() if self.lowercase else word, UNKNOWN))
            spelling.append([letters.get(letter, UNKNOWN) for letter in _shortened(word)])
        counts = np.array([len(word) for word in spelling], dtype=np.int64)
        table = np.full((len(types), counts.max(initial=1)), PADDING, dtype=np.int64)
        for row, word_letters in zip(table, spelling, strict=True):
            row[: len(word_letters)] = word_letters
        places = [np.array([types[word] for word in words], dtype=np.int64) for words in given]
        return NumberedWords(given, places, np.array(known, dtype=np.int64), table, counts)


def _shortened(word: str) -> str:
    if len(word) <= _MOST_LETTERS:
        return word
    return word[: _MOST_LETTERS // 2] + word[-_MOST_LETTERS // 2 :]


@dataclass(frozen=True, eq=False)
class NumberedWords:
    """Samples of words as numbers, ready for batches.

    Attributes
    ----------
    given
        The words.
    places
        For each sample which of the distinct words stands where.
    known, letters, letter_counts
        For each distinct word its number in the vocabulary, its letters' numbers and their count.
    """

    given: WordSequences
    places: Sequence[npt.NDArray[np.int64]]
    known: npt.NDArray[np.int64]
    letters: npt.NDArray[np.int64]
    letter_counts: npt.NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.places)

    @property
    def lengths(self) -> npt.NDArray[np.int64]:
        """Number of words of each sample."""
        return self.given.lengths

    def take(self, rows: npt.NDArray[np.int64]) -> NumberedWords:
        """The samples of these rows."""
        places = [self.places[row] for row in rows]
        return replace(self, given=self.given.take(rows), places=places)

    def cut(self, counts: npt.NDArray[np.int64]) -> NumberedWords:
        """The samples in so many pieces each, as even as can be."""
        pieces, sentences = [], []
        for places, words, count in zip(self.places, self.given, counts, strict=True):
            parts = np.array_split(places, count)
            ends = np.cumsum([len(part) for part in parts])
            pieces += parts
            sentences += [
                list(words[end - len(p) : end]) for end, p in zip(ends, parts, strict=True)
            ]
        return replace(self, given=WordSequences(sentences), places=pieces)

    def batches(self, size: int, order: npt.NDArray[np.int64] | None = None) -> Iterator[WordBatch]:
        """Batches of at most `size` samples, in `order` or as they come."""
        order = np.arange(len(self)) if order is None else order
        for start in range(0, len(order), size):
            yield self.batch(order[start : start + size])

    def batch(self, rows: npt.NDArray[np.int64]) -> WordBatch:
        """The samples of these rows as one batch, each distinct word spelled once."""
        lengths = self.lengths[rows]
        exists = np.arange(lengths.max(initial=0)) < lengths[:, None]
        flat = np.concatenate([self.places[row] for row in rows])
        distinct, inverse = np.unique(flat, return_inverse=True)
        words = np.full(exists.shape, PADDING, dtype=np.int64)
        spelled = np.zeros(exists.shape, dtype=np.int64)
        words[exists], spelled[exists] = self.known[flat], inverse
        counts = self.letter_counts[distinct]
        return WordBatch(
            words=torch.from_numpy(words),
            lengths=torch.from_numpy(lengths),
            letters=torch.from_numpy(self.letters[distinct, : counts.max(initial=1)]),
            letter_counts=torch.from_numpy(counts),
            spelled=torch.from_numpy(spelled),
            rows=rows,
        )
