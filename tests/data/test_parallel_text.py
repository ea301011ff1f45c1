"""Parallel text: what is read, and what is said of files that are not what they should be."""

import gzip
import os
import re
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cellwright.data.files import read_lines
from cellwright.data.number_words import english_number, french_number
from cellwright.data.parallel_text import (
    ParallelText,
    read_parallel,
    read_parallel_samples,
)
from cellwright.errors import DataError

_DATA = os.environ.get("CELLWRIGHT_SHARED_DATA", Path(__file__).parents[2] / "../shared/data")
MULTI30K = Path(_DATA) / "multi30k-en-de"
DE_EN = {"source": "de", "target": "en"}


def write(folder, **files):
    for name, text in files.items():
        stem, _, language = name.rpartition("_")
        path = folder / f"{stem}.{language}"
        if isinstance(text, bytes):
            path.write_bytes(text)
        else:
            path.write_text(text, encoding="utf-8", newline="")


def test_a_folder_with_all_three_parts(tmp_path):
    write(tmp_path, train_de="eins\nzwei\n", train_en="one\ntwo\n", val_de="drei", val_en="three")
    write(tmp_path, test_a_de="vier\r\n", test_a_en="four\r\n", test_b_de="x", test_b_fr="y")
    data = read_parallel(str(tmp_path), **DE_EN)
    assert data.train.source == ["eins", "zwei"]
    assert data.train.target == ["one", "two"]
    assert data.validation.target == ["three"]
    assert data.test.source == ["vier"]
    assert read_parallel(str(tmp_path), source="en", target="de").test.source == ["four"]


def test_compressed_files_and_several_test_parts(tmp_path):
    for stem in ("train", "dev", "test_1", "test_2"):
        for language in ("de", "en"):
            with gzip.open(tmp_path / f"{stem}.{language}.gz", "wt", encoding="utf-8") as file:
                file.write(f"{stem} {language} ü\n")
    with pytest.raises(DataError, match="several test files, test_1, test_2; name.*--test"):
        read_parallel(str(tmp_path), **DE_EN)
    data = read_parallel(str(tmp_path), **DE_EN, test="test_2")
    assert data.test == data.test
    assert data.test.source == ["test_2 de ü"]
    assert data.validation.source == ["dev de ü"]
    with pytest.raises(DataError, match="no test files 'test_3'; there are: test_1, test_2"):
        read_parallel(str(tmp_path), **DE_EN, test="test_3")


def test_two_files_are_divided_the_same_way_each_time(tmp_path):
    lines = [f"line {n}" for n in range(50)]
    write(tmp_path, corpus_de="\n".join(lines), corpus_en="\n".join(lines))
    data = read_parallel(str(tmp_path / "corpus"), **DE_EN, test_fraction=0.2)
    assert len(data.test) == 10
    assert data.validation is None
    assert sorted([*data.train.source, *data.test.source]) == sorted(lines)
    again = read_parallel(str(tmp_path / "corpus"), **DE_EN, test_fraction=0.2)
    assert again.fingerprint == data.fingerprint
    assert again.test.source == again.test.target == data.test.source


def test_only_a_line_feed_ends_a_line(tmp_path):
    text = "a\u2028b\u0085c\x0bd\r\ne\n"
    write(tmp_path, x_de=text)
    assert read_lines(tmp_path / "x.de") == ["a\u2028b\u0085c\x0bd", "e"]


@pytest.mark.parametrize(
    ("files", "words"),
    [
        ({"c_de": "a\nb\nc\n", "c_en": "a\nb\n"}, r"c.de has 3 lines but .*c.en has 2; line 3 of"),
        ({"c_de": "a\nb\n", "c_en": b"a\n\xffb\n"}, r"c.en, line 2, byte 1: not UTF-8"),
        ({"c_de": "a\n\nc\n", "c_en": "a\nb\nc\n"}, r"c.de, line 2: is empty"),
        ({"c_de": "a\nb\n", "c_en": "a\n \t\n"}, r"c.en, line 2: is empty"),
        ({"c_de": "", "c_en": ""}, r"c.de: is empty"),
        ({"c_de": "a\n"}, r"no file .*c.en or .en.gz; found endings: de"),
        ({"c_de": "a\n", "c_en": "b\n"}, r"1 lines cannot be divided"),
    ],
)
def test_malformed_files(tmp_path, files, words):
    write(tmp_path, **files)
    with pytest.raises(DataError, match=words):
        read_parallel(str(tmp_path / "c"), **DE_EN)


def test_what_else_is_refused(tmp_path):
    with pytest.raises(DataError, match="no file .*corpus.de"):
        read_parallel(str(tmp_path / "corpus"), **DE_EN)
    with pytest.raises(DataError, match="both 'de'"):
        read_parallel("numbers", source="de", target="de")
    with pytest.raises(DataError, match="en and fr, not in 'de'"):
        read_parallel("numbers", **DE_EN)
    with pytest.raises(DataError, match="no data folder"):
        read_parallel("numbers", tmp_path, source="en", target="fr")
    (tmp_path / "c.de.gz").write_bytes(gzip.compress(b"a\nb\n" * 1000)[:-9])
    write(tmp_path, c_en="a\nb\n")
    with pytest.raises(DataError, match=r"c.de.gz: cannot be read"):
        read_parallel(str(tmp_path / "c"), **DE_EN)


@settings(max_examples=60)
@given(content=st.binary(max_size=60))
def test_whatever_stands_in_a_file_is_read_or_refused(tmp_path_factory, content):
    folder = tmp_path_factory.mktemp("any")
    write(folder, c_de=content, c_en=content)
    try:
        data = read_parallel(str(folder / "c"), **DE_EN, test_fraction=0.5)
    except DataError as error:
        told = str(error)
    else:
        told = "cannot be divided"
        assert all(text.strip() for text in (*data.train.source, *data.test.target))
    assert re.search(r"c\.(de|en)|cannot be divided", told)


def test_samples_with_and_without_what_they_should_become(tmp_path):
    write(tmp_path, c_de="a\nb\n", c_en="x\ny\n", d_de="a\n")
    pairs = read_parallel_samples(str(tmp_path / "c"), **DE_EN)
    assert isinstance(pairs, ParallelText)
    assert pairs.target == ["x", "y"]
    assert read_parallel_samples(str(tmp_path / "d"), **DE_EN).target is None
    assert read_parallel_samples(str(tmp_path / "c.de"), **DE_EN).source == ["a", "b"]


def test_of_a_folder_the_test_files_alone_are_samples(tmp_path):
    write(tmp_path, test_1_de="a\n", test_1_en="x\n")
    assert read_parallel_samples(str(tmp_path), **DE_EN).target == ["x"]
    write(tmp_path, test_2_de="b\n", test_2_en="y\n")
    assert read_parallel_samples(str(tmp_path), **DE_EN, test="test_2").target == ["y"]
    for name in ("test_1.de", "test_2.de"):
        (tmp_path / name).unlink()
    write(tmp_path, train_de="a\nb\nc\nd\n", train_en="x\ny\nz\nw\n")
    found = read_parallel_samples(str(tmp_path), **DE_EN, test_fraction=0.5)
    assert found.source == read_parallel(str(tmp_path), **DE_EN, test_fraction=0.5).test.source


def test_numbers_in_words():
    known = {
        0: ("zero", "zéro"),
        16: ("sixteen", "seize"),
        21: ("twenty-one", "vingt et un"),
        71: ("seventy-one", "soixante et onze"),
        77: ("seventy-seven", "soixante-dix-sept"),
        80: ("eighty", "quatre-vingts"),
        81: ("eighty-one", "quatre-vingt-un"),
        99: ("ninety-nine", "quatre-vingt-dix-neuf"),
        100: ("one hundred", "cent"),
        200: ("two hundred", "deux cents"),
        203: ("two hundred and three", "deux cent trois"),
        1000: ("one thousand", "mille"),
        80_000: ("eighty thousand", "quatre-vingt mille"),
        200_080: ("two hundred thousand and eighty", "deux cent mille quatre-vingts"),
    }
    for number, words in known.items():
        assert (english_number(number), french_number(number)) == words


def test_the_numbers_are_drawn_once_and_differ():
    data = read_parallel("numbers", source="en", target="fr")
    assert [len(part) for part in (data.train, data.validation, data.test)] == [6000, 500, 1000]
    everything = [*data.train.source, *data.validation.source, *data.test.source]
    assert len(set(everything)) == len(everything)
    back = read_parallel("numbers", source="fr", target="en")
    assert back.train.target == data.train.source


@pytest.mark.skipif(not MULTI30K.exists(), reason="the shared data are not there")
def test_multi30k():
    data = read_parallel(str(MULTI30K), **DE_EN)
    assert [len(part) for part in (data.train, data.validation, data.test)] == [29000, 1014, 1000]
    assert data.train.target[0].startswith("Two young, White males")


def test_options_that_mean_nothing_to_the_data_are_refused(tmp_path):
    write(tmp_path, c_de="eins\nzwei\n", c_en="one\ntwo\n")
    for data in (str(tmp_path / "c"), "numbers"):
        with pytest.raises(DataError, match="test='test_b' means nothing to these data"):
            read_parallel(data, source="fr", target="en", test="test_b")
    with pytest.raises(DataError, match=r"test_fraction=1\.5: must lie between 0 and 1"):
        read_parallel(str(tmp_path / "c"), **DE_EN, test_fraction=1.5)
