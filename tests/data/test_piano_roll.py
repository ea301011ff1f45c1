"""Piano rolls from MATLAB files, and the chorales as a task."""

from pathlib import Path

import numpy as np
import pytest
from scipy.io import savemat
from scipy.sparse import csc_matrix

from cellwright.data import tasks
from cellwright.data.piano_roll import read_piano_rolls
from cellwright.errors import DataError

SHARED = Path(__file__).parents[2] / "../shared/data/jsb-chorales/JSB_Chorales.mat"
PARTS = ("traindata", "validdata", "testdata")


def cells(pieces):
    array = np.empty((1, len(pieces)), object)
    array[0, :] = pieces
    return array


def rolls(*lengths, seed=0):
    rng = np.random.default_rng(seed)
    return [(rng.random((length, 88)) < 0.05).astype(np.uint8) for length in lengths]


@pytest.fixture
def file(tmp_path):
    def file(**changes):
        content = {name: cells(rolls(4, 7, 2, seed=n)) for n, name in enumerate(PARTS)} | changes
        savemat(tmp_path / "music.mat", {k: v for k, v in content.items() if v is not None})
        return tmp_path / "music.mat"

    return file


def test_pieces_are_read_as_they_are(file):
    read = read_piano_rolls(file())
    for number, part in enumerate(read):
        for piece, wanted in zip(part, rolls(4, 7, 2, seed=number), strict=True):
            assert np.array_equal(piece, wanted)


def test_the_path_may_be_a_text(file):
    for part, wanted in zip(read_piano_rolls(str(file())), read_piano_rolls(file()), strict=True):
        assert [piece.tolist() for piece in part] == [piece.tolist() for piece in wanted]


@pytest.mark.parametrize("kind", [csc_matrix, np.complex128, np.float32, np.bool_, np.int16])
def test_a_piece_may_have_any_kind_of_numbers(file, kind):
    wanted = rolls(4, 7)
    read = read_piano_rolls(file(traindata=cells([kind(piece) for piece in wanted]))).training
    for piece, roll in zip(read, wanted, strict=True):
        assert np.array_equal(piece, roll)
        assert piece.dtype == np.uint8


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"validdata": None}, "has no validdata; it should hold traindata, validdata, testdata"),
        ({"testdata": np.zeros((3, 88))}, "testdata holds no pieces"),
        ({"testdata": cells([])}, "testdata holds no pieces"),
        ({"traindata": cells([np.zeros((4, 87))])}, r"traindata\[0\]: expected \(time, 88 keys\)"),
        ({"traindata": cells([*rolls(4), np.zeros((1, 88))])}, r"traindata\[1\] has no second"),
        ({"traindata": cells([np.full((4, 88), 2)])}, "1, or not, 0; found other numbers"),
        ({"traindata": cells([np.full((4, 88), 1j)])}, "1, or not, 0; found other numbers"),
        ({"traindata": cells([np.full((4, 88), "1")])}, r"traindata\[0\]"),
        (
            {"traindata": cells([csc_matrix((4, 87))])},
            r"traindata\[0\]: expected \(time, 88 keys\)",
        ),
        ({"traindata": cells([csc_matrix((1, 88))])}, r"traindata\[0\] has no second"),
        ({"traindata": csc_matrix((4, 88))}, "traindata holds no pieces"),
    ],
)
def test_files_with_something_else_are_refused(file, changes, message):
    with pytest.raises(DataError, match=message):
        read_piano_rolls(file(**changes))


def test_a_missing_or_damaged_file_is_named(tmp_path):
    with pytest.raises(DataError, match="there is no file .*music.mat"):
        read_piano_rolls(tmp_path / "music.mat")
    (tmp_path / "music.mat").write_bytes(b"no MATLAB file" * 20)
    with pytest.raises(DataError, match="music.mat is no MATLAB file"):
        read_piano_rolls(tmp_path / "music.mat")


def test_the_next_step_is_asked_for(file):
    task = tasks.jsb_chorales(file())
    data = task.parts.training
    assert data.x.lengths.tolist() == [3, 6, 1]
    assert data.counted.sum(1).tolist() == [3, 6, 1]
    for number, piece in enumerate(rolls(4, 7, 2)):
        steps = len(piece) - 1
        assert np.array_equal(data.x.values[number], piece[:-1])
        assert np.array_equal(data.targets[number, :steps], piece[1:])
        assert not data.targets[number, steps:].any()


def test_a_draw_picks_pieces_to_learn_from(file):
    task = tasks.jsb_chorales(file())
    pieces = [piece.tobytes() for piece in task.parts.training.x]
    data = task.draw(40, 0)
    assert {piece.tobytes() for piece in data.x} == set(pieces)


@pytest.mark.skipif(not SHARED.is_file(), reason="the chorales do not lie beside the project")
def test_the_real_chorales():
    task = tasks.jsb_chorales(SHARED)
    assert [len(part) for part in vars(task.parts).values()] == [229, 76, 77]
    # The steps of the collection, but for the first of each piece.
    assert task.parts.test.answers == 4725 - 77
    share = task.parts.training.targets[task.parts.training.counted].mean(0)
    odds = np.log(np.maximum(share, 1e-4)) - np.log1p(-share)
    answers = np.tile(odds, (*task.parts.test.counted.shape, 1))
    assert task.score(answers, task.parts.test)["loss"] == pytest.approx(task.baseline, rel=0.01)
    assert task.baseline == pytest.approx(11.1, abs=0.1)
