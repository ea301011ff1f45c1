"""Words: what is refused, how they are numbered, spelled, cut and batched."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cellwright.data.words import WordIndex, WordSequences, are_words
from cellwright.errors import DataError, ShapeError
from cellwright.models.tagger import PADDING, UNKNOWN

WORDS = st.text("abcäß", min_size=1, max_size=40)
SENTENCES = st.lists(st.lists(WORDS, min_size=1, max_size=6), min_size=1, max_size=5)


@pytest.mark.parametrize(
    ("bad", "error", "said"),
    [
        ([], DataError, "X is empty"),
        ("some text", DataError, "expected a list of lists of words, got str"),
        ([["a"], []], DataError, r"X\[1\] has no words"),
        ([["a"], "one text"], ShapeError, r"X\[1\]: expected a list of words, got one text"),
        ([["a", 3]], DataError, r"X\[0\]: expected a word at step 1, got int"),
        ([["a", None]], DataError, r"X\[0\]: expected a word at step 1, got NoneType"),
        ([["a", " "]], DataError, r"X\[0\]: the word at step 1 is empty"),
        ([["a"], 3], DataError, r"X\[1\]: expected a list of words, got int"),
    ],
)
def test_bad_words_are_refused_by_sample_and_step(bad, error, said):
    with pytest.raises(error, match=said):
        WordSequences.of(bad)


def test_words_are_told_from_numbers():
    assert are_words([["a"], ["b"]])
    assert are_words(np.array([["a", "b"]]))
    assert are_words(["text"])  # and refused later, in words
    assert not any(map(are_words, ([], [[1.0]], np.zeros((2, 3)), [np.zeros(3)], 3, [[]], {})))


def test_words_are_numbered_by_frequency_and_rare_ones_are_unknown():
    sentences = WordSequences.of([["The", "cat", "the"], ["dog", "Cat", "mouse"]])
    index = WordIndex.learn(sentences, least=2)
    assert index.words == ("cat", "the")
    assert WordIndex.learn(sentences, lowercase=False).words[:2] == ("Cat", "The")
    numbered = index.number(WordSequences.of([["THE", "mouse", "Cat", "zebra"]]))
    assert numbered.known.tolist() == [3, UNKNOWN, 2, UNKNOWN]
    assert index.sizes == (4, 2 + len(set("Thecatdogmouse") | set("C")))


def test_long_words_are_read_at_both_ends():
    index = WordIndex(("x",), ("a", "b"))
    numbered = index.number(WordSequences.of([["a" * 16 + "x" * 100 + "b" * 16]]))
    assert numbered.letters.tolist() == [[2] * 16 + [3] * 16]


@given(SENTENCES, SENTENCES, st.integers(1, 3))
@settings(max_examples=40)
def test_batches_hold_every_word_and_letter(learned, sentences, size):
    index = WordIndex.learn(WordSequences.of(learned))
    numbered = index.number(WordSequences.of(sentences))
    names = dict(enumerate(index.words, 2))
    letters = dict(enumerate(index.characters, 2))
    rows = []
    for batch in numbered.batches(size):
        rows += batch.rows.tolist()
        assert len(set(map(tuple, batch.letters.tolist()))) <= len(batch.letters)
        for row, place in zip(batch.rows, range(len(batch.rows)), strict=True):
            length = int(batch.lengths[place])
            assert length == len(sentences[row])
            assert (batch.words[place, length:] == PADDING).all()
            for step, word in enumerate(sentences[row]):
                assert names.get(int(batch.words[place, step])) == (
                    word.lower() if word.lower() in index.words else None
                )
                which = int(batch.spelled[place, step])
                count = int(batch.letter_counts[which])
                spelled = [letters.get(n) for n in batch.letters[which, :count].tolist()]
                short = word if len(word) <= 32 else word[:16] + word[-16:]
                assert spelled == [c if c in index.characters else None for c in short]
    assert rows == list(range(len(sentences)))


def test_pieces_go_through_all_words():
    numbered = WordIndex(("a",), ("a",)).number(WordSequences.of([list("abcde"), ["f"]]))
    pieces = numbered.cut(np.array([2, 1]))
    assert [list(words) for words in pieces.given] == [list("abc"), list("de"), ["f"]]
    assert pieces.lengths.tolist() == [3, 2, 1]
    assert [p.tolist() for p in pieces.places] == [[0, 1, 2], [3, 4], [5]]


def test_the_fingerprint_tells_sentences_apart():
    prints = {WordSequences.of(s).fingerprint for s in ([["a", "b"]], [["a"], ["b"]], [["ab"]])}
    assert len(prints) == 3
