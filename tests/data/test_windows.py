"""A series in a CSV, whole and damaged, and its windows."""

import contextlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cellwright.data.sines import two_tone_sines
from cellwright.data.windows import Series, read_series, windows
from cellwright.errors import DataError, SettingError
from cellwright.jobs.gan.reading import read_dataset, read_labelled
from cellwright.jobs.options.gan import GANReading

GOOD = '"Date","Temp","Wind"\n"1981-01-01",20.7,3\n"1981-01-02",17.9,4\n"1981-01-05",18.8,5\n'
USUAL = vars(GANReading())
READING = USUAL | {"window": 4, "test_fraction": 0.25}


@pytest.fixture
def write(tmp_path):
    def write(text, encoding="utf-8"):
        path = tmp_path / "some.csv"
        path.write_bytes(text.encode(encoding))
        return path

    return write


def test_a_series_is_read_with_its_names(write):
    series = read_series(write(GOOD))
    assert series.names == ("Temp", "Wind")
    assert series.values.tolist() == [[20.7, 3], [17.9, 4], [18.8, 5]]
    assert read_series(write(GOOD), columns=["Wind"]).values.tolist() == [[3], [4], [5]]


@pytest.mark.parametrize(
    "times",
    [
        ("1", "2.5", "10"),
        ("1949-01", "1949-02", "1950-01"),
        ("2020-01-01 00:00", "2020-01-01 00:30", "2020-01-02 00:00"),
        ("02.01.2020", "31.01.2020", "01.02.2020"),
        ("2020-01-01T00:00+02:00", "2020-01-01T00:00+01:00", "2020-01-01T00:00Z"),
    ],
)
def test_times_in_order_are_taken(write, times):
    rows = "".join(f"{time},{number}\n" for number, time in enumerate(times))
    assert read_series(write(f"t,x\n{rows}"), time="t").values.ravel().tolist() == [0, 1, 2]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (GOOD.replace("17.9", "warm"), "line 3, column 'Temp': expected a finite number, got 'wa"),
        (GOOD.replace("17.9", ""), "line 3, column 'Temp': expected a finite number, got nothing"),
        (GOOD.replace("18.8", "inf"), "line 4, column 'Temp'"),
        (GOOD.replace("01-02", "01-01"), "line 3, column 'Date': 1981-01-01 stands there twice"),
        (GOOD.replace("01-05", "01-01"), "line 4, column 'Date': .* comes before the row above"),
        (GOOD.replace("1981-01-02", "soon"), "line 3, column 'Date': .*got 'soon'"),
        (GOOD.replace("1981-01-02", ""), "line 3, column 'Date': .*got nothing"),
        (GOOD.replace(",4", ",4,5"), "not a readable CSV"),
        (GOOD.replace("Wind", "Temp"), "two columns 'Temp'"),
        ("", "not a readable CSV"),
        ("a,b\n", "no rows"),
        ("day\n2020-01-01\n", "no column of numbers"),
    ],
)
def test_what_is_wrong_is_named_by_line_and_column(write, text, words):
    with pytest.raises(DataError, match=words):
        read_series(write(text))


def test_other_encodings_and_columns_are_refused(write):
    with pytest.raises(DataError, match="line 1, byte 1: not UTF-8"):
        read_series(write("tägl,x\n1,2\n", "utf-16"))
    with pytest.raises(DataError, match="no column 'Tmp' among.*Did you mean 'Temp'"):
        read_series(write(GOOD), columns=["Tmp"])
    for columns in (["Temp", "Temp"], ["Temp", "Date"]):
        with pytest.raises(DataError, match="columns: Temp, |column 'Date'"):
            read_series(write(GOOD), columns=columns, time="Date")


@given(text=st.text(st.sampled_from('1,.-e\n"xab:Ä'), max_size=60), cut=st.integers(0, 90))
@settings(max_examples=100)
def test_any_text_is_read_or_refused_by_name(tmp_path_factory, text, cut):
    path = tmp_path_factory.mktemp("csv") / "some.csv"
    for content in (text, GOOD[:cut] + text):
        path.write_text(content, encoding="utf-8")
        with contextlib.suppress(DataError):
            series = read_series(path)
            assert np.isfinite(series.values).all()
            assert series.values.shape[1] == len(series.names)


@given(st.integers(1, 30), st.integers(1, 30), st.integers(1, 9))
def test_windows_are_pieces_of_the_series(steps, length, stride):
    series = Series(np.arange(2.0 * steps).reshape(-1, 2), ("a", "b"))
    if steps < length:
        with pytest.raises(DataError, match=f"{steps} steps has no window of {length}"):
            windows(series, length, stride=stride)
        return
    found = windows(series, length, stride=stride)
    assert len(found) == (steps - length) // stride + 1
    for number, value in enumerate(found):
        start = number * stride
        assert np.array_equal(value, series.values[start : start + length])
    assert found.names == ("a", "b")


def test_windows_of_nothing_are_refused():
    series = Series(np.zeros((5, 1)), ("a",))
    for length, stride in ((0, 1), (2, 0)):
        with pytest.raises(SettingError):
            windows(series, length, stride=stride)


def test_a_series_is_divided_in_time_and_no_window_crosses(write):
    rows = "".join(f"{number},{number}\n" for number in range(20))
    data = read_dataset(str(write(f"a,b\n{rows}")), None, {**READING, "columns": "b"})
    assert max(value.max() for value in data.train.x) == 14
    assert min(value.min() for value in data.test.x) == 15
    assert (len(data.train.x), len(data.test.x)) == (12, 2)


def test_other_sources(write, tmp_path):
    rows = "".join(f"{number},{step},{number}\n" for number in range(8) for step in range(3))
    quarter = USUAL | {"test_fraction": 0.25}
    data = read_dataset(str(write(f"id,step,b\n{rows}")), None, quarter)
    assert (len(data.train.x), len(data.test.x), data.train.y) == (6, 2, None)
    ids = {value[0, 0] for part in (data.train, data.test) for value in part.x}
    assert ids == set(range(8))
    np.savez(tmp_path / "a.npz", X_train=np.zeros((4, 3, 2)), X_test=np.ones((2, 3, 2)))
    data = read_dataset(str(tmp_path / "a.npz"), None, USUAL)
    assert data.test.x.values.min() == 1
    np.savez(tmp_path / "b.npz", X=np.zeros((4, 3, 2)), y=np.arange(4))
    assert len(read_labelled(str(tmp_path / "b.npz"), None, READING).y) == 4
    short = USUAL | {"window": 4}
    sines = read_dataset("sines", None, short)
    assert sines.train.x.values.shape == (2000, 4, 1)
    assert sines.fingerprint == read_dataset("sines", None, short).fingerprint


def test_sources_that_are_none(write, tmp_path):
    np.savez(tmp_path / "a.npz", X=np.zeros((4, 3, 2)), y=np.arange(3))
    np.savez(tmp_path / "one.npz", X=np.zeros((1, 3, 2)))
    np.savez(tmp_path / "odd.npz", Z=np.zeros((1, 3, 2)))
    for source, folder, words in (
        ("sins", None, "no data set 'sins'. Did you mean 'sines'"),
        ("sines", tmp_path, "a data folder"),
        (str(tmp_path / "none.csv"), None, "there is no file"),
        (str(tmp_path / "a.npz"), None, r"y must be \(4,\)"),
        (str(tmp_path / "one.npz"), None, "one sequence"),
        (str(tmp_path / "odd.npz"), None, "no array 'X'"),
        (str(write(GOOD)), None, "training part of the series has 2 steps, fewer than the window"),
    ):
        with pytest.raises(DataError, match=words):
            read_dataset(source, folder, READING if source.endswith(".csv") else USUAL)


def test_sines_are_as_the_formula_says():
    made = two_tone_sines(4000, steps=24, noise=0.1, seed=0).values[..., 0].astype(float)
    # The mean square of a sine is half that of its height: (1 + 0.25) E[a²] / 2, and the noise.
    square = 1.25 * (1 + 0.6**2 / 12) / 2 + 0.01
    assert (made**2).mean() == pytest.approx(square, rel=0.03)
    power = (np.abs(np.fft.rfft(made, 200)) ** 2).mean(0)
    assert power[6:11].mean() > 3 * power[24:40].mean() > 30 * power[60:].mean()
    again = two_tone_sines(4000, steps=24, noise=0.1, seed=0).values[..., 0]
    assert (again == made.astype(np.float32)).all()
    assert two_tone_sines(3, features=2, seed=1).values.shape == (3, 24, 2)
    for wrong in ({"samples": 0}, {"samples": 1, "steps": 0}, {"samples": 1, "noise": -1}):
        with pytest.raises(SettingError):
            two_tone_sines(**wrong)
