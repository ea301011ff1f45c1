"""Handwriting: trajectories from MATLAB files and UNIPEN's strokes."""

import contextlib
import os
import re
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.io import savemat

from cellwright.data.strokes import offsets, read_trajectories, read_unipen
from cellwright.errors import DataError

SHARED = Path(
    os.environ.get("CELLWRIGHT_SHARED_DATA", Path(__file__).parents[2] / "../shared/data")
)
MAT = SHARED / "character-trajectories/trajectories_train.mat"


def cells(values):
    array = np.empty((1, len(values)), object)
    array[0, :] = values
    return array


def trajectory(steps, seed=0):
    return np.random.default_rng(seed).normal(size=(3, steps))


@pytest.fixture
def mat(tmp_path):
    def mat(**changes):
        content = {
            "xtrain": cells([trajectory(5), np.pad(trajectory(4, 1), ((0, 0), (2, 3)))]),
            "ytrain": np.array([[2, 1]], np.uint8),
            "key": cells(["a", "b"]),
        } | changes
        savemat(tmp_path / "t.mat", {k: v for k, v in content.items() if v is not None})
        return tmp_path / "t.mat"

    return mat


def test_trajectories_are_read_and_trimmed(mat):
    found = read_trajectories(mat())
    assert found.y.tolist() == ["b", "a"]
    assert np.allclose(found.x.values[0], trajectory(5).T)
    assert np.allclose(found.x.values[1], trajectory(4, 1).T)
    assert found.x.names == ("x velocity", "y velocity", "pen force")
    assert read_trajectories(mat(), trimmed=False).x.lengths.tolist() == [5, 9]


def test_the_uci_layout_is_read_too(tmp_path):
    consts = {"key": cells(["a", "b"]), "charlabels": np.array([[2, 1]])}
    savemat(tmp_path / "m.mat", {"mixout": cells([trajectory(5)] * 2), "consts": consts})
    assert read_trajectories(tmp_path / "m.mat").y.tolist() == ["b", "a"]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"key": None}, "has no key; it should hold xtrain, ytrain and key"),
        ({"xtrain": np.zeros((3, 4))}, "must be cells"),
        ({"ytrain": np.array([[1]])}, "2 trajectories do not go with 1 labels"),
        ({"ytrain": np.array([[1, 3]])}, "trajectory 1: its label 3 is none of 1 to 2"),
        ({"xtrain": cells([trajectory(5), np.zeros((3, 9))])}, "trajectory 1: nothing is written"),
        ({"xtrain": cells([np.ones((2, 4))] * 2)}, "trajectory 0: expected (3, time), got (2, 4)"),
        (
            {"xtrain": cells([trajectory(5), trajectory(5) * [1, 1, np.nan, 1, 1]])},
            "trajectory 1: its x velocity at step 2 is not a finite number",
        ),
    ],
)
def test_something_else_is_refused(mat, changes, message):
    with pytest.raises(DataError, match=re.escape(message)):
        read_trajectories(mat(**changes))


def test_no_file_and_no_mat(tmp_path):
    with pytest.raises(DataError, match="there is no file"):
        read_trajectories(tmp_path / "none.mat")
    (tmp_path / "t.mat").write_bytes(b"MATLAB 5.0 MAT-file" + bytes(40))
    with pytest.raises(DataError, match="is no MATLAB file"):
        read_trajectories(tmp_path / "t.mat")


@pytest.mark.skipif(not MAT.is_file(), reason="the shared data are not there")
def test_the_real_file():
    found = read_trajectories(MAT)
    assert len(found) == 1429
    assert "".join(sorted(set(found.y.tolist()))) == "abcdeghlmnopqrsuvwyz"


HI = """.VERSION 1.0
.COMMENT written by
 a hand 12 13
.COORD T X Y P
.HIERARCHY PAGE WORD
.SEGMENT WORD 0-1 ? "hi"
.SEGMENT WORD 2 ok "a \\"b\\""
.SEGMENT LETTER 0 ? "h"
.PEN_DOWN
 0 10 20 5
 1 11 24 5
.DT 10
.PEN_UP
 2 14 25 0

.PEN_DOWN
 3 16 20 7
"""


@pytest.fixture
def unipen(tmp_path):
    def unipen(text):
        path = tmp_path / "ink.dat"
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return path

    return unipen


def test_segments_gather_their_strokes(unipen):
    first, second = read_unipen(unipen(HI))
    assert (first.text, second.text) == ("hi", 'a "b"')
    assert first.points.tolist() == [[10, 20, 1], [11, 24, 1], [14, 25, 0]]
    assert second.points.tolist() == [[16, 20, 1]]
    assert first.name.endswith("ink.dat, line 6")
    (letter,) = read_unipen(unipen(HI), level="letter")
    assert letter.text == "h"
    assert len(letter.points) == 2


def test_a_file_without_segments_is_one_sample(unipen):
    (ink,) = read_unipen(unipen(".PEN_DOWN\n1 2\n3 4\n"))
    assert ink.text is None
    assert ink.points.tolist() == [[1, 2, 1], [3, 4, 1]]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ((" 1 11 24 5", " 1 11"), "line 11, column 3 (Y): expected a finite number, got nothing"),
        ((" 1 11 24 5", " 1 x 24 5"), "line 11, column 2 (X): expected a finite number, got x"),
        ((" 1 11 24 5", " 1 inf 4 5"), "line 11, column 2 (X): expected a finite number, got inf"),
        ((".COORD T X Y P", ".COORD T X P"), "line 4: .COORD names no column Y"),
        (("WORD 0-1", "WORD 0-7"), "line 6: there is no section 3; the file has 3"),
        (("WORD 0-1", "WORD 1"), "line 6: nothing is written, the pen is never down"),
        (('? "hi"', "? hi"), "line 6: expected .SEGMENT LEVEL 0-2 QUALITY"),
        (('? "hi"', '? " "'), "line 6: the text is empty"),
        (("WORD 0-1", "WORD 0-1-2"), "line 6: '0-1-2' is no range of sections"),
    ],
)
def test_mistakes_name_their_line(unipen, change, message):
    with pytest.raises(DataError, match=re.escape(message)):
        read_unipen(unipen(HI.replace(*change)))


def test_files_without_strokes(unipen, tmp_path):
    with pytest.raises(DataError, match="there are no points of a pen"):
        read_unipen(unipen(".VERSION 1.0\n.PEN_DOWN\n"))
    with pytest.raises(DataError, match="the pen is never down"):
        read_unipen(unipen(".PEN_UP\n1 2\n"))
    with pytest.raises(DataError, match="there are no segments LINE, only WORD, LETTER"):
        read_unipen(unipen(HI), level="LINE")
    with pytest.raises(DataError, match="line 2, byte 1: not UTF-8"):
        read_unipen(unipen(b".PEN_DOWN\n\xff\n"))
    with pytest.raises(DataError, match="there is no file"):
        read_unipen(tmp_path / "none.dat")


@settings(max_examples=60)
@given(start=st.integers(0, len(HI)), length=st.integers(0, 40), junk=st.text(max_size=8))
def test_damaged_files_are_read_or_refused(tmp_path_factory, start, length, junk):
    path = tmp_path_factory.mktemp("ink") / "ink.dat"
    path.write_text(HI[:start] + junk + HI[start + length :], encoding="utf-8", errors="replace")
    with contextlib.suppress(DataError):
        assert all(np.isfinite(ink.points).all() for ink in read_unipen(path))


def test_offsets_know_neither_place_nor_size():
    points = np.array([[0, 0, 1], [3, 4, 1], [3, 8, 0], [5, 2, 1]], float)
    found = offsets(points)
    assert np.allclose(found, [[0, 0, 1], [0.75, 1, 1], [0, 1, 0], [0.5, -1.5, 1]])
    assert np.allclose(offsets(points * [7, 7, 1] + [100, -20, 0]), found)
    assert np.isfinite(offsets(points[:1])).all()


@pytest.mark.parametrize(
    ("sections", "words"),
    [
        ("0-400000000", "there is no section 3; the file has 3, counted from 0"),
        ("2-0", "line 6: '2-0' ends before it begins"),
        ("0-99999999999999999999", "is no range of sections"),
        ("0-\u0661", "is no range of sections"),
    ],
)
def test_ranges_of_sections_are_checked_before_they_are_built(unipen, sections, words):
    with pytest.raises(DataError, match=words):
        read_unipen(unipen(HI.replace("WORD 0-1", f"WORD {sections}")))
