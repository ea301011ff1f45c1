"""Labelled texts, a line each; and what is wrong with a file."""

import gzip

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cellwright.data.text_lines import Texts, read_text_lines
from cellwright.errors import CellwrightError, DataError


def test_lines_are_labels_and_texts(tmp_path):
    path = tmp_path / "some.txt"
    path.write_bytes("\ufeff1 a gem\r\n\n0\tnot  so \n1 naïve\n".encode())
    texts, labels = read_text_lines(path)
    assert list(texts) == ["a gem", "not  so", "naïve"]
    assert labels.tolist() == ["1", "0", "1"]
    packed = tmp_path / "some.gz"
    packed.write_bytes(gzip.compress(path.read_bytes()))
    assert read_text_lines(packed)[0].fingerprint == texts.fingerprint
    assert list(texts.take([2, 0])) == ["naïve", "a gem"]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "has no lines"),
        (b"\n \n", "has no lines"),
        (b"1 a\n2\n", "line 2, column 2: there is no text behind the label '2'"),
        (b"1 a\n\n a b\n", "line 3, column 1: starts with a blank"),
        (b"1 a\n2 b\xff\n", "line 2, byte 4: not UTF-8"),
        (gzip.compress(b"1 a\n" * 99)[:-12], "is cut off or damaged"),
    ],
)
def test_what_is_wrong_is_named(tmp_path, content, words):
    path = tmp_path / "some.txt"
    path.write_bytes(content)
    with pytest.raises(DataError, match=words):
        read_text_lines(path)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(DataError, match="nowhere.txt"):
        read_text_lines(tmp_path / "nowhere.txt")


@pytest.mark.parametrize(
    ("texts", "words"),
    [([], "X is empty"), (["a", " "], r"X\[1\] is an empty text"), (["a", 5], "got int")],
)
def test_texts_are_checked(texts, words):
    with pytest.raises(DataError, match=words):
        Texts.of(texts)


@settings(max_examples=60)
@given(st.binary(max_size=40))
def test_any_bytes_are_read_or_refused_by_a_typed_error(tmp_path_factory, content):
    path = tmp_path_factory.mktemp("any") / "some.txt"
    path.write_bytes(content)
    try:
        texts, labels = read_text_lines(path)
    except CellwrightError:
        return
    assert len(texts) == len(labels) > 0
    assert all(text.strip() for text in texts)


@pytest.mark.parametrize(
    ("texts", "measured"),
    [
        (["0.5\t-1.25\t3", "1e-3 NaN .5"], True),
        (["0.5 1", "1.5 good"], False),
        (["a 0.5", "b 1.5"], False),
        (["0 1 1", "1 0 0"], False),
        (["... a gem", "1.5"], False),
    ],
)
def test_texts_that_are_numbers_alone_are_known(texts, measured):
    assert Texts.of(texts).are_measured == measured
