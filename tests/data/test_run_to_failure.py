"""Machines that ran until they failed: tables, windows, and what is wrong with a file."""

import gzip

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cellwright.data.run_to_failure import is_run_to_failure, read_machines, read_run_to_failure
from cellwright.errors import CellwrightError, DataError, SettingError

# Machine 1 fails after 5 cycles, machine 2 after 3; rows of a machine may come in any order.
TRAIN = "1 2 20 .2\n1 1 10 .1\n1 3 30 .3\n1 4 40 .4\n1 5 50 .5  \n\n2 1 1 1\n2 2 2 2\n2 3 3 3\n"
TEST = "1 1 7 7\n1 2 8 8\n1 3 9 9\n2 1 4 4\n"
LEFT = "112 \n3\n"


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "train_A.txt").write_text(TRAIN)
    (tmp_path / "test_A.txt.gz").write_bytes(gzip.compress(TEST.encode()))
    (tmp_path / "RUL_A.txt").write_text(LEFT)
    return tmp_path


def test_every_cycle_ends_a_window(folder):
    data = read_run_to_failure(folder, window=3, cap=2)
    assert data.name == "A"
    found = dict(zip(data.train.ids, data.train.x, strict=True))
    assert found["1@5"][:, 0].tolist() == [30, 40, 50]
    assert found["1@2"][:, 0].tolist() == [10, 20]
    left = dict(zip(data.train.ids, data.train.y[:, 0].tolist(), strict=True))
    assert left == {"1@5": 0, "1@4": 1, "1@3": 2, "1@2": 2, "1@1": 2, "2@3": 0, "2@2": 1, "2@1": 2}
    groups = [int(name.split("@")[0]) for name in data.train.ids]
    assert data.train.groups.tolist() == groups
    assert data.train.x.names == ("column_3", "column_4")


def test_the_test_is_the_last_window_and_is_never_capped(folder):
    data = read_run_to_failure(folder / "train_A.txt", window=2, cap=2)
    assert [value.tolist() for value in data.test.x] == [[[8, 8], [9, 9]], [[4, 4]]]
    assert data.test.y.tolist() == [[112], [3]]
    assert data.test.ids == [1, 2]


def test_windows_may_be_fewer_and_uncapped(folder):
    data = read_run_to_failure(folder, window=2, stride=2, cap=None)
    assert data.train.ids == ["1@5", "1@3", "1@1", "2@3", "2@1"]
    assert data.train.y[:, 0].tolist() == [0, 2, 4, 0, 2]


def test_nasas_columns_have_their_names(tmp_path):
    path = tmp_path / "train_B.txt"
    path.write_text(" ".join(["1"] * 26) + "\n")
    _, names = read_machines(path)
    assert names[0] == "setting_1"
    assert names[-1] == "sensor_21"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "is empty"),
        ("\n \n", "is empty"),
        ("1 1\n", "2 columns"),
        ("1 1 5\n\n1 2\n", "line 3, column 3: the row ends before it"),
        ("1 1 5\n1 2 5 6\n", "not a readable table"),
        ("1 1 5\n1 2 x\n", "line 2, column 3: expected a finite number, got 'x'"),
        ("1 1 5\n1 2 nan\n", "line 2, column 3: expected a finite number, got 'nan'"),
        ("1 1 5\n1 2 inf\n", "got 'inf'"),
        ("1 1 5\n1 1 6\n", "line 2, column 2: this unit has this cycle already"),
        ("1 1.5 5\n", "line 1, column 2: cycle is not whole"),
        ("0.5 1 5\n", "line 1, column 1: unit is not whole"),
    ],
)
def test_what_is_wrong_is_named(tmp_path, text, words):
    path = tmp_path / "train_A.txt"
    path.write_text(text)
    with pytest.raises(DataError, match=words):
        read_machines(path)


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("RUL_A.txt", "5\n", "has 1 numbers, but test_A.txt.gz has 2 machines"),
        ("RUL_A.txt", "5 6\n7 8\n", "has 2 columns"),
        ("RUL_A.txt", "5\n-1\n", "line 2, column 1: fewer than no cycles"),
        ("train_B.txt", "1 1 5\n", "expected one train_NAME.txt, found train_A, train_B"),
        ("test_A.txt", "1 1 5\n", "has 1 measurements a row, but train_A.txt has 2"),
    ],
)
def test_files_that_do_not_go_together_are_named(folder, name, text, words):
    (folder / name).write_text(text)
    with pytest.raises(DataError, match=words):
        read_run_to_failure(folder)


def test_a_missing_file_is_named(folder):
    (folder / "RUL_A.txt").unlink()
    with pytest.raises(DataError, match=r"there is no file .*RUL_A.txt"):
        read_run_to_failure(folder)


@pytest.mark.parametrize("options", [{"window": 0}, {"stride": 1.5}, {"cap": 0}, {"window": True}])
def test_parameters_are_checked(folder, options):
    with pytest.raises(SettingError, match=next(iter(options))):
        read_run_to_failure(folder, **options)


def test_a_data_set_of_this_kind_is_recognised(folder):
    assert is_run_to_failure(folder)
    assert is_run_to_failure(folder / "train_A.txt")
    assert not is_run_to_failure(folder / "RUL_A.txt")


@settings(max_examples=60)
@given(cut=st.integers(0, len(TRAIN)), junk=st.binary(max_size=6))
def test_a_damaged_file_is_read_or_refused_by_a_typed_error(tmp_path_factory, cut, junk):
    path = tmp_path_factory.mktemp("damaged") / "train_A.txt"
    path.write_bytes(TRAIN.encode()[:cut] + junk + TRAIN.encode()[cut + 2 :])
    try:
        machines, _ = read_machines(path)
    except CellwrightError:
        return
    assert all(np.isfinite(machine.values).all() for machine in machines)
