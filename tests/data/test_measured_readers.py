"""Sequences with numbers: named, tables in long form, .npz; and what is wrong with them."""

import io

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cellwright.data.measured import as_numbers
from cellwright.data.measured_readers import (
    read_measured,
    read_measured_samples,
    read_measured_table,
)
from cellwright.errors import CellwrightError, DataError, SettingError, ShapeError

GOOD = "id,step,a,b,target,machine\nx,1,3,4,0.5,m\nx,0,1,2,0.5,m\ny,0,5,6,-2,n\n"


@pytest.fixture
def write(tmp_path):
    def write(text, name="some.csv"):
        path = tmp_path / name
        path.write_text(text, encoding="utf-8")
        return path

    return write


def test_a_table_in_long_form_is_read(write):
    found = read_measured_table(write(GOOD), group="machine")
    assert [value.tolist() for value in found.x] == [[[1, 2], [3, 4]], [[5, 6]]]
    assert found.y.tolist() == [[0.5], [-2]]
    assert found.ids == ["x", "y"]
    assert found.x.names == ("a", "b")
    assert found.groups.tolist() == ["m", "n"]


def test_several_targets_stand_in_the_order_asked_for(write):
    found = read_measured_table(
        write(GOOD.replace("machine", "late").replace("m\n", "1\n").replace("n\n", "2\n")),
        targets=["late", "target"],
    )
    assert found.y.tolist() == [[1, 0.5], [2, -2]]
    assert found.targets == ("late", "target")


def test_targets_may_be_unknown_to_predict_but_not_to_learn(write):
    path = write("id,step,a\nx,0,1\ny,0,2\n")
    assert read_measured_samples(str(path)).y is None
    with pytest.raises(DataError, match="no target column 'target' among id, step, a"):
        read_measured(str(path))


def test_parquet_is_read_as_csv_is(write, tmp_path):
    pytest.importorskip("pyarrow")
    pd.read_csv(io.StringIO(GOOD)).to_parquet(tmp_path / "some.parquet")
    first = read_measured_table(write(GOOD), group="machine")
    again = read_measured_table(tmp_path / "some.parquet", group="machine")
    assert first.x.fingerprint == again.x.fingerprint
    assert first.y.tolist() == again.y.tolist()
    table = pd.read_csv(io.StringIO(GOOD))
    table.loc[1, "a"] = np.nan
    table.to_parquet(tmp_path / "holes.parquet")
    with pytest.raises(DataError, match="row 2, column 'a': expected a finite number, got nothing"):
        read_measured_table(tmp_path / "holes.parquet", group="machine")


def test_what_is_no_parquet_is_refused(tmp_path):
    pytest.importorskip("pyarrow")
    (tmp_path / "bad.parquet").write_bytes(b"PAR1 nothing PAR1")
    with pytest.raises(DataError, match="not a readable Parquet file"):
        read_measured_table(tmp_path / "bad.parquet")


@pytest.mark.parametrize(
    ("text", "options", "words"),
    [
        ("a,step,b,target\n1,0,5,6\n", {}, "no column 'id'"),
        ("id,step,target\n1,0,5\n", {}, "no feature column"),
        ("id,step,a,target\n", {}, "has a header but no rows"),
        (GOOD, {}, "line 2, column 'machine': expected a finite number, got 'm'"),
        (GOOD.replace("m\n", "1\n").replace("n\n", ""), {"targets": ["target", "speed"]},
         "no target column 'speed'"),
        (GOOD, {"targets": "targt"}, "no target column 'targt' among.*Did you mean 'target'"),
        ("id,step,a,target\nx,0,1,5\n\nx,1,1,6\n", {}, "line 4, column 'target': changes"),
        ("id,step,a,target\nx,0,1,5\nx,1,1,\n", {}, "line 3, column 'target': expected a finite"),
        ("id,step,a,target\nx,0,1,inf\n", {}, "column 'target': expected a finite"),
        ("id,step,a,target\nx,0,1,1\nx,0,1,1\n", {}, "line 3, column 'step': this id has"),
        ("id,step,a,target\n,0,1,1\n", {}, "line 2, column 'id': is empty"),
        ("id,step,a,target,g\nx,0,1,1,p\nx,1,1,1,q\n", {"group": "g"}, "column 'g': changes"),
        ("id,step,a,target\nx,0,1,1\n", {"targets": "step"}, "'step' cannot be told"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_named(write, text, options, words):
    with pytest.raises(DataError, match=words):
        read_measured_table(write(text), **options)


def test_targets_are_named_once(write):
    with pytest.raises(SettingError, match="name each column"):
        read_measured_table(write(GOOD), targets=["target", "target"])


def test_groups_are_never_divided(write):
    rows = "".join(f"{n},0,{n},{n},{n // 5}\n" for n in range(50))
    data = read_measured(str(write("id,step,a,target,unit\n" + rows)), group="unit")
    train, test = set(data.train.groups), set(data.test.groups)
    assert len(train) == 8
    assert len(test) == 2
    assert not train & test


def test_an_npz_is_read_with_its_parts_or_divided(tmp_path):
    x, y = np.random.default_rng(0).random((10, 4, 2)), np.arange(20.0).reshape(10, 2)
    np.savez(tmp_path / "one.npz", X=x, y=y, groups=np.arange(10) // 2)
    data = read_measured(str(tmp_path / "one.npz"), test_fraction=0.4)
    assert (len(data.train.x), len(data.test.x)) == (6, 4)
    assert data.train.targets == ("target_1", "target_2")
    np.savez(tmp_path / "two.npz", X_train=x, y_train=y[:, 0], X_test=x[:2], y_test=y[:2, 0])
    data = read_measured(str(tmp_path / "two.npz"))
    assert data.test.y.tolist() == [[0], [2]]
    assert len(read_measured_samples(str(tmp_path / "two.npz")).x) == 2


@pytest.mark.parametrize(
    ("arrays", "words"),
    [
        ({"X": np.zeros((3, 2))}, "nothing to be told"),
        ({"y": np.zeros(3)}, "no array 'X'"),
        ({"X": np.zeros((3, 2)), "y": np.zeros(2)}, r"y must be \(3, …\) like X"),
        ({"X": np.zeros((3, 2)), "y": np.array([1, np.nan, 2])}, r"y\[1\] is NaN"),
        ({"X": np.zeros((3, 2)), "y": np.zeros(3), "groups": np.zeros(2)}, "groups must be"),
        (
            {f"{name}_{part}": np.zeros((3, 2)) for name in "Xy" for part in ("train", "test")}
            | {"y_test": np.zeros(3)},
            "y_test has 1 targets, y_train 2",
        ),
    ],
)
def test_what_is_wrong_with_an_npz_is_named(tmp_path, arrays, words):
    np.savez(tmp_path / "bad.npz", **arrays)
    with pytest.raises(DataError, match=words):
        read_measured(str(tmp_path / "bad.npz"))


@pytest.mark.parametrize("source", ["addding", "nowhere.csv", "here.txt"])
def test_unknown_sources_are_refused(source, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "here.txt").write_text("1")
    with pytest.raises(DataError, match="no file or folder|cannot be read"):
        read_measured(source)


def test_the_built_in_data_are_always_the_same():
    first, again = read_measured("adding"), read_measured("adding")
    assert first.fingerprint == again.fingerprint
    # With these numbers the results were found that stand in the pages.
    assert first.train.y[:3, 0].round(4).tolist() == [0.3108, 1.1666, 1.5283]
    marked = first.test.x.values[:, :, 0] * first.test.x.values[:, :, 1]
    np.testing.assert_allclose(marked.sum(1), first.test.y[:, 0], rtol=1e-6)


@pytest.mark.parametrize(
    ("y", "error", "words"),
    [
        (["a", "b"], DataError, "expected numbers"),
        ([[1, 2], [3]], ShapeError, "not an array"),
        (np.zeros((2, 2, 2)), ShapeError, "expected"),
        (np.zeros((2, 0)), ShapeError, "expected"),
        ([1.0, np.inf], DataError, r"y\[1\] is infinite"),
        ([[1.0, 2], [np.nan, 3]], DataError, r"y\[1, 0\] is NaN"),
        ([1.0, 2.0, 3.0], ShapeError, "X has 2 samples but y has 3"),
    ],
)
def test_numbers_are_checked(y, error, words):
    with pytest.raises(error, match=words):
        as_numbers(y, samples=2)


@settings(max_examples=60)
@given(cut=st.integers(0, len(GOOD)), junk=st.text(max_size=5))
def test_a_damaged_table_is_read_or_refused_by_a_typed_error(tmp_path_factory, cut, junk):
    path = tmp_path_factory.mktemp("damaged") / "some.csv"
    path.write_text(GOOD[:cut] + junk + GOOD[cut + 1 :], encoding="utf-8", errors="replace")
    try:
        found = read_measured_table(path, group="machine")
    except CellwrightError:
        return
    assert found.y is None or np.isfinite(found.y).all()


def test_a_group_must_be_there_to_learn_but_not_to_predict(write):
    path = write("id,step,a,target,unit\nx,0,1,2,1\ny,0,1,2,2\nz,0,1,2,3\n")
    with pytest.raises(DataError, match=r"no group column 'unt'.*Did you mean 'unit'"):
        read_measured(str(path), group="unt")
    assert read_measured(str(path), group="unit").train.groups is not None
    lacking = write("id,step,a\nx,0,1\n", "other.csv")
    assert read_measured_samples(str(lacking), group="unit").groups is None


@pytest.mark.parametrize(
    ("name", "option"),
    [
        ("one.npz", {"targets": ["speed"]}),
        ("one.npz", {"group": "unit"}),
        ("one.npz", {"window": 5}),
        ("some.csv", {"cap": None}),
        ("some.csv", {"stride": 2}),
        ("adding", {"group": "unit"}),
    ],
)
def test_options_that_mean_nothing_to_the_data_are_refused(write, tmp_path, name, option):
    write(GOOD.replace("machine", "b2").replace("m\n", "1\n").replace("n\n", "2\n"))
    np.savez(tmp_path / "one.npz", X=np.zeros((4, 2)), y=np.zeros(4))
    source = name if name == "adding" else str(tmp_path / name)
    assert read_measured(source, test_fraction=0.5).train.y is not None
    with pytest.raises(DataError, match=f"{next(iter(option))}=.* means nothing to these data"):
        read_measured(source, test_fraction=0.5, **option)
    assert read_measured_samples(source, **option)
