"""Reading text files."""

import gzip

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cellwright.data.documents import divide_text, read_documents
from cellwright.errors import DataError, SettingError


@pytest.fixture
def file(tmp_path):
    def file(content, name="some.txt"):
        path = tmp_path / name
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return str(path)

    return file


def test_a_file_packed_or_not(file):
    text = "\ufeffone\r\ntwo é\rthree\n"
    plain = read_documents(file(text))
    assert plain == ["one\ntwo é\nthree\n"]
    assert read_documents(file(gzip.compress(text.encode()), "some.txt.gz")) == plain


def test_what_is_a_text_of_its_own(file):
    path = file("a b\nc\n\n  \nd\n\n\ne\n")
    assert read_documents(path, "lines") == ["a b", "c", "d", "e"]
    assert read_documents(path, "paragraphs") == ["a b\nc", "d", "e\n"]
    assert read_documents(file("a\u2028b\fc\x85d\r\ne\n"), "lines") == ["a\u2028b\fc\x85d", "e"]


def test_the_end_is_for_the_test(file):
    data = divide_text(file("0123456789" * 10), test_fraction=0.2)
    assert (data.name, [*map(len, data.train)], [*map(len, data.test)]) == ("some", [80], [20])
    assert data.train[0] + data.test[0] == "0123456789" * 10


def test_the_last_documents_are_for_the_test(file):
    data = divide_text(file("a\nb\nc\nd\ne\n"), test_fraction=0.4, documents="lines")
    assert (data.train, data.test) == (["a", "b", "c"], ["d", "e"])


def test_tails(file):
    data = divide_text(file("abcdeFGHIJ"), test_fraction=0.2, tails=2)
    assert (data.train, data.test) == (["abcd", "FGHI"], ["e", "J"])
    with pytest.raises(DataError, match="tails"):
        divide_text(file("a\nb\n"), tails=2, documents="lines")


def test_the_default_needs_no_file():
    data = divide_text("descriptions")
    assert data.name == "descriptions"
    assert len(data.train[0]) > 20_000
    assert data.fingerprint == divide_text("descriptions").fingerprint
    assert data.fingerprint != divide_text("descriptions", test_fraction=0.2).fingerprint


@pytest.mark.parametrize(
    ("content", "name", "message"),
    [
        (b"good\nba\xffd", "x.txt", r"x\.txt, line 2, byte 3: not UTF-8"),
        (b"good\n\nb\x00ad", "x.txt", r"x\.txt, line 3: holds a zero byte"),
        (b"", "x.txt", "there is no text"),
        (b" \n\t\n", "x.txt", "there is no text"),
        (b"x", "x.txt", "too little text"),
        (b"nothing but blanks" + b" " * 20, "x.txt", "too little text"),
        (b"plain", "x.txt.gz", "cut off or damaged"),
        (gzip.compress(b"text" * 99)[:-9], "x.txt.gz", "cut off or damaged"),
        (gzip.compress(b"text" * 99)[:12] + b"????????????????", "x.gz", "cut off or damaged"),
    ],
)
def test_bad_files(file, content, name, message):
    with pytest.raises(DataError, match=message):
        divide_text(file(content, name))


def test_missing_files(tmp_path):
    with pytest.raises(DataError, match="there is no file .*nothing.txt"):
        divide_text(str(tmp_path / "nothing.txt"))
    with pytest.raises(DataError, match="Did you mean 'descriptions'"):
        divide_text("description")


@pytest.mark.parametrize("name", ["x.txt", "x.txt.gz"])
@settings(max_examples=60)
@given(content=st.binary(max_size=60), documents=st.sampled_from(["file", "lines", "paragraphs"]))
def test_any_bytes_are_text_or_a_data_error(tmp_path_factory, name, content, documents):
    path = tmp_path_factory.mktemp("bytes", numbered=True) / name
    path.write_bytes(content)
    try:
        data = divide_text(str(path), documents=documents)
    except DataError as error:
        assert str(path) in str(error)  # noqa: PT017
    else:
        assert all(data.train)
        assert all(data.test)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"test_fraction": 1.5}, "must lie between 0 and 1"),
        ({"test_fraction": -1}, "must lie between 0 and 1"),
        ({"tails": 0}, "tails=0: must be a whole number from 1"),
        ({"tails": 2.0}, r"tails=2\.0: must be a whole number from 1"),
        ({"documents": "paragraph"}, "known are file, paragraphs, lines.*'paragraphs'"),
    ],
)
def test_numbers_and_names_are_checked_before_anything_is_read(options, words):
    with pytest.raises((DataError, SettingError), match=words):
        divide_text("nowhere.txt", **options)
