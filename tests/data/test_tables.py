"""The user's own files, whole and damaged."""

import contextlib
import zipfile

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_array_equal

from cellwright.data.tables import read_csv, read_npz
from cellwright.errors import DataError

GOOD = "id,step,a,b,label\nx,1,3,4,NA\nx,0,1,2,NA\ny,0,5,6,None\n"


@pytest.fixture
def write(tmp_path):
    def write(text):
        path = tmp_path / "some.csv"
        path.write_text(text, encoding="utf-8")
        return path

    return write


def test_a_csv_in_long_form_is_read(write):
    x, labels, ids = read_csv(write(GOOD))
    assert [value.tolist() for value in x] == [[[1, 2], [3, 4]], [[5, 6]]]
    assert labels.tolist() == ["NA", "None"]
    assert ids == ["x", "y"]


def test_labels_may_be_missing_numbers_or_truths(write):
    assert read_csv(write("id,step,a\n1,0,5\n"))[1] is None
    labels = read_csv(write("id,step,a,label\n1,0,5,7\n\n2,0,5,8\n"))[1]
    assert labels.dtype == np.int64
    for texts in (["True", "False"], ["01", "1"], ["1", "-0"], ["1", "2.0"], ["9" * 30, "1"]):
        rows = "".join(f"{n},0,5,{text}\n" for n, text in enumerate(texts))
        assert read_csv(write(f"id,step,a,label\n{rows}"))[1].tolist() == texts


def test_ids_stay_as_they_are_written(write):
    assert read_csv(write("id,step,a\n000,0,1\n0,0,2\n1e3,0,2\n"))[2] == ["000", "0", "1e3"]


def test_features_keep_their_names(write):
    assert read_csv(write(GOOD))[0].names == ("a", "b")


def test_rows_keep_the_order_of_their_ids(write):
    x, _, ids = read_csv(write("id,step,a\n9,0,1\n3,0,2\n9,1,3\n"))
    assert ids == ["9", "3"]
    assert [value[:, 0].tolist() for value in x] == [[1, 3], [2]]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "not a readable CSV"),
        ("\n\n", "not a readable CSV"),
        ("id,step,a\n", "no rows"),
        ("id,step,label\n1,0,5\n", "no feature column"),
        ("ID,step,a\n1,0,5\n", r"no column 'id' among ID, step, a\. Did you mean 'ID'\? A long"),
        ("id,stp,a\n1,0,5\n", "no column 'step'.*Did you mean 'stp'"),
        (
            "id,step,a\n1,0,5\n1,1,five\n",
            "line 3, column 'a': expected a finite .* 'five'",
        ),
        ("id,step,a\n1,0,5\n\n \n1,1,five\n", "line 5, column 'a'"),
        ('id,step,a,label\n1,0,5,"two\nlines"\n1,1,five,x\n', "line 4, column 'a'"),
        ("id,step,a\n1,0,5\n1,1,\n", "line 3, column 'a': expected a finite number, got nothing"),
        ("id,step,a\n1,0,NA\n", "line 2, column 'a': expected a finite number, got 'NA'"),
        ("id,step,a\n1,0,inf\n", "line 2, column 'a'"),
        ("id,step,a\n1,zero,5\n", "line 2, column 'step'"),
        ("id,step,a\n,0,5\n", "line 2, column 'id': is empty"),
        ("id,step,a,label\n1,0,5,\n", "line 2, column 'label': is empty"),
        ("id,step,a\n1,0,5\n2,0,5\n1,0,6\n", "line 4, column 'step': this id has this step"),
        ("id,step,a,label\n1,0,5,x\n1,1,5,y\n", "line 3, column 'label': the label changes"),
        ("id,step,a\n1,0,5\n1,1,6,7\n", "not a readable CSV.*line 3"),
        ("id,step,a\n1,0,5,7\n1,1,6,7\n", "not a readable CSV: line 2 has 4 cells, .* has 3"),
        ("id;step;a\n1;0;5\n", "cells must be separated by commas, and 'id;step;a'"),
        ("id;step;a\n1;0;5\n1;1;5,5\n", "separated by commas.*decimals have a point"),
        ("id\tstep\ta\n1\t0\t5\n", "separated by commas"),
        ("id,step,a\n1,0,5,7\n1,1,6,7,8\n", "line 2 has 4 cells, .* has 3; a cell with a"),
        ("id,step,a,a\n1,0,5,6\n", "there are two columns 'a'"),
        (",id,step,a\n0,1,0,5\n", "column 1 has no name"),
    ],
)
def test_line_and_column_of_a_mistake_are_named(write, text, words):
    with pytest.raises(DataError, match=words):
        read_csv(write(text))


def test_a_missing_file_is_a_data_error(tmp_path):
    for read, words in ((read_csv, "there is no file"), (read_npz, "not a readable")):
        with pytest.raises(DataError, match=words):
            read(tmp_path / "missing")


@settings(max_examples=200)
@given(st.one_of(st.binary(max_size=60), st.text('id,step\n\r"1 \0é', max_size=30).map(str.encode)))
def test_random_tables_are_read_or_give_a_data_error(tmp_path_factory, content):
    path = tmp_path_factory.mktemp("csv") / "some.csv"
    for start in (b"", b"id,step,a\n1,0,5\n", b"id,step,a,label\n1,0,5,x\n"):
        path.write_bytes(start + content)
        try:
            x, _, ids = read_csv(path)
            assert len(x) == len(ids)
        except DataError:
            pass


def test_the_arrays_of_an_npz_are_read(tmp_path):
    np.savez(tmp_path / "some.npz", X=np.ones((2, 3)), y=["a", "b"])
    arrays = read_npz(tmp_path / "some.npz")
    assert_array_equal(arrays["X"], np.ones((2, 3)))
    assert arrays["y"].tolist() == ["a", "b"]


def test_object_arrays_are_refused_with_a_way_out(tmp_path):
    ragged = np.array([np.zeros(2), np.zeros(3)], dtype=object)
    np.savez(tmp_path / "some.npz", X=ragged)
    with pytest.raises(DataError, match=r"objects would be read.*NaN steps behind"):
        read_npz(tmp_path / "some.npz")


def test_other_files_are_no_npz(tmp_path):
    path = tmp_path / "some.npz"
    with path.open("wb") as file:
        np.save(file, np.zeros(3))
    with pytest.raises(DataError, match=r"not a readable \.npz: it is no archive"):
        read_npz(path)
    path.write_text("id,step,a\n1,0,5\n")
    with pytest.raises(DataError, match=r"not a readable \.npz: it is no archive"):
        read_npz(path)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("X", b"words")
    assert read_npz(path)["X"].shape == ()


@given(st.data())
def test_a_damaged_npz_gives_arrays_or_a_data_error(tmp_path_factory, data):
    path = tmp_path_factory.mktemp("npz") / "some.npz"
    save = data.draw(st.sampled_from([np.savez, np.savez_compressed]))
    save(path, X=np.arange(40.0).reshape(4, 10), y=np.arange(4))
    content = bytearray(path.read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    path.write_bytes(content[: data.draw(st.integers(0, len(content)))] or content)
    with contextlib.suppress(DataError):
        assert all(isinstance(value, np.ndarray) for value in read_npz(path).values())
