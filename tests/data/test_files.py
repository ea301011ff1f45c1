"""Bytes, lines and places of a file; damage is said the same by all that read one."""

import gzip
import os
import sys

import numpy as np
import pytest
from PIL import Image

from cellwright.data.audio import read_recordings
from cellwright.data.conllu import read_conllu
from cellwright.data.documents import read_text
from cellwright.data.files import place_of, read_bytes, read_lines
from cellwright.data.idx import read_idx
from cellwright.data.long_form_files import read_long_form, read_m4
from cellwright.data.measured_readers import read_measured_table
from cellwright.data.pictures import picture_files
from cellwright.data.run_to_failure import read_machines
from cellwright.data.step_tables import StepColumns, read_step_table
from cellwright.data.tables import read_csv
from cellwright.data.text_lines import read_text_lines
from cellwright.data.windows import column_names, read_series
from cellwright.errors import DataError

TEXT = b"id,step,a\n" + b"".join(b"%d,0,%d\n" % (n, n * n) for n in range(300))


def _read_steps(path):
    return read_step_table(path, StepColumns())


@pytest.fixture(params=["cut", "wrong", "short", "none"])
def damaged(request):
    whole = bytearray(gzip.compress(TEXT))
    if request.param == "wrong":  # what zlib itself complains of
        whole[20:60] = bytes(range(200, 240))
    return {"wrong": whole, "cut": whole[:-30], "short": whole[:8], "none": b"plain text"}[
        request.param
    ]


@pytest.mark.parametrize(
    ("name", "read"),
    [
        ("some.csv.gz", read_csv),
        ("some.csv.gz", read_series),
        ("some.csv.gz", column_names),
        ("some.csv.gz", read_long_form),
        ("some.csv.gz", _read_steps),
        ("some.txt.gz", read_machines),
        ("some.txt.gz", read_text),
        ("some.txt.gz", read_lines),
        ("some.txt.gz", read_text_lines),
        ("some.conllu.gz", read_conllu),
        ("some.gz", read_idx),
        ("Hourly-train.csv.gz", lambda path: read_m4(path.parent)),
    ],
)
def test_damaged_compression_is_refused_by_every_reader(tmp_path, damaged, name, read):
    (tmp_path / name).write_bytes(damaged)
    with pytest.raises(DataError, match=rf"{name}: cannot be read, is cut off or damaged"):
        read(tmp_path / name)


def test_what_is_packed_is_unpacked_whatever_it_is_called(tmp_path):
    for name in ("some.csv", "some.csv.gz"):
        (tmp_path / name).write_bytes(gzip.compress(TEXT))
        assert read_bytes(tmp_path / name) == TEXT
    with pytest.raises(DataError, match="there is no file"):
        read_bytes(tmp_path / "none")
    with pytest.raises(DataError, match="cannot be read: Is a directory"):
        read_bytes(tmp_path)


def test_lines_end_at_line_feeds_alone(tmp_path):
    path = tmp_path / "some.txt"
    path.write_bytes("\ufeffa\u2028b\r\n\nc\x0cd".encode())
    assert read_lines(path) == ["a\u2028b", "", "c\x0cd"]
    path.write_bytes(b"")
    assert read_lines(path) == []


@pytest.mark.parametrize("start", [b"", b"\xef\xbb\xbf"])
def test_the_byte_that_is_not_utf8_is_named(tmp_path, start):
    path = tmp_path / "some.txt"
    path.write_bytes(start + b"good\nba\xffd")
    with pytest.raises(DataError, match=r"some.txt, line 2, byte 3: not UTF-8"):
        read_lines(path)


def test_a_place_counts_lines_and_not_rows(tmp_path):
    path = tmp_path / "some.csv.gz"
    path.write_bytes(gzip.compress(b'a,b\n1,"two\nlines"\n\n \n2,x\n'))
    assert place_of(path, 0, "b").endswith("some.csv.gz, line 3, column 'b'")
    assert place_of(path, 1, "b").endswith("line 6, column 'b'")
    assert place_of(path, 2, "b").endswith("line about 4, column 'b'")
    assert place_of(tmp_path / "some.parquet", 1, "b").endswith("row 2, column 'b'")


def test_a_bad_cell_of_a_packed_series_is_named(tmp_path):
    path = tmp_path / "x.csv.gz"
    path.write_bytes(gzip.compress("täg,a\n2024-01-01,1\n2024-01-02,x\n".encode()))
    with pytest.raises(DataError, match=r"line 3, column 'a': expected a finite number, got 'x'"):
        read_series(path)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="other names are no bytes")
@pytest.mark.parametrize(
    ("name", "read"),
    [(b"caf\xe9.wav", read_recordings), (b"caf\xe9.png", lambda path: picture_files(path, 8))],
)
def test_a_name_that_no_table_could_hold_is_refused(tmp_path, name, read):
    pytest.importorskip("soundfile").write(tmp_path / "a.wav", np.arange(999) / 999, 8000)
    Image.fromarray(np.zeros((8, 8), np.uint8)).save(tmp_path / "a.png")
    (tmp_path / f"a{os.fsdecode(name)[-4:]}").rename(tmp_path / os.fsdecode(name))
    with pytest.raises(DataError, match=r"the name 'caf\\udce9\....' is not UTF-8; rename"):
        read(tmp_path)


@pytest.mark.parametrize(
    "read", [read_csv, read_series, column_names, read_long_form, read_measured_table, _read_steps]
)
def test_every_reader_of_a_table_says_what_hides_its_header(tmp_path, read):
    path = tmp_path / "some.csv"
    for content, words in (
        (b"id;step;a;label\nx;0;1,5;up\n", "cells must be separated by commas"),
        ("id,step,a\nx,0,1\n".encode("utf-16"), "line 1, byte 1: not UTF-8"),
        (b"", "not a readable CSV: it is empty"),
    ):
        path.write_bytes(content)
        with pytest.raises(DataError, match=words):
            read(path)
