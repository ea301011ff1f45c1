import gzip
import warnings

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cellwright.data.calendar import calendar_features, infer_frequency, season_of, usual_calendar
from cellwright.data.long_form import as_long_form
from cellwright.data.long_form_files import read_long_form, read_m4
from cellwright.data.seasonal_series import made_up_sales
from cellwright.errors import ArgumentError, DataError, SettingError


def table(**changed):
    days = pd.date_range("2024-01-01", periods=5)
    columns = {
        "unique_id": ["b"] * 5 + ["a"] * 5,
        "ds": [*days, *(days + pd.Timedelta(days=3))],
        "y": np.arange(10.0),
        "price": np.arange(10.0, 20.0),
    }
    return pd.DataFrame(columns | changed)


def test_series_keep_the_order_of_their_ids_and_start_when_they_will():
    long = as_long_form(table(), columns=["price"], numbers=["price"])
    assert long.ids.tolist() == ["b", "a"]
    assert long.lengths.tolist() == [5, 5]
    assert long.frequency == "D"
    assert long.times[long.rows_of(1)][0] == pd.Timestamp("2024-01-04")
    assert long.columns["price"].tolist() == list(range(10, 20))
    pd.testing.assert_frame_equal(long.frame(), table(), check_dtype=False)


def test_rows_that_are_left_out_are_missing_values():
    long = as_long_form(table().drop(index=[2, 7]))
    assert long.lengths.tolist() == [5, 5]
    assert np.isnan(long.y[[2, 7]]).all()
    assert np.isfinite(np.delete(long.y, [2, 7])).all()


def test_ids_may_come_mixed_as_long_as_each_is_in_order():
    mixed = table().iloc[[0, 5, 1, 6, 2, 7, 3, 8, 4, 9]]
    assert as_long_form(mixed).fingerprint == as_long_form(table()).fingerprint


def test_numbers_are_times_too_and_their_step_is_found():
    counted = table(ds=[0, 2, 4, 8, 10] * 2)
    long = as_long_form(counted)
    assert long.frequency == 2
    assert long.lengths.tolist() == [6, 6]
    assert long.times_after(2)[0].tolist() == [12, 14]


def test_months_go_on_as_months():
    months = pd.date_range("2023-10-01", periods=5, freq="MS")
    long = as_long_form(table(ds=[*months, *months]))
    assert long.frequency == "MS"
    assert long.times_after(2)[1].tolist() == [
        pd.Timestamp("2024-03-01"),
        pd.Timestamp("2024-04-01"),
    ]


def test_polars_tables_are_read_as_those_of_pandas():
    polars = pytest.importorskip("polars")
    given = polars.DataFrame({name: cells.to_list() for name, cells in table().items()})
    assert as_long_form(given).fingerprint == as_long_form(table()).fingerprint


def test_parts_of_each_series_can_be_cut():
    long = as_long_form(table())
    assert long.without_last(2).y.tolist() == [0, 1, 2, 5, 6, 7]
    assert long.last(2).y.tolist() == [3, 4, 8, 9]
    assert long.cut(np.array([0, 0]), np.array([0, 2])).ids.tolist() == ["a"]
    ending = as_long_form(table(y=[0, 1, np.nan, 3, np.nan, 5, 6, 7, 8, 9]))
    assert ending.without_ends().lengths.tolist() == [4, 5]


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"y": [1, 2, 3, np.inf, 5] * 2}, "row 3, column 'y': expected a finite number"),
        ({"y": ["1", "2", "x", "4", "5"] * 2}, "row 2, column 'y'.*'x'"),
        ({"ds": ["2024-01-01", "2024-01-02", "soon", "2024-01-04", "2024-01-05"] * 2}, "'soon'"),
        ({"ds": [1, 2, 3, 4.5, 5] * 2}, "row 3, column 'ds': expected a date or a whole number"),
        ({"ds": [1, 2, 2, 4, 5] * 2}, "row 2.*'b' has this time already"),
        ({"ds": [1, 2, 4, 3, 5] * 2}, "row 3.*'b' has a later time above"),
        ({"unique_id": ["b", None, "b", "b", "b"] + ["a"] * 5}, "row 1, column 'unique_id'"),
    ],
)
def test_what_cannot_be_used_is_named_with_row_and_column(changed, said):
    with pytest.raises(DataError, match=said):
        as_long_form(table(**changed))


def test_a_missing_column_is_named_with_what_is_there():
    with pytest.raises(DataError, match="no column 'y' among unique_id, ds, Y"):
        as_long_form(table().rename(columns={"y": "Y"}))
    with pytest.raises(DataError, match="has no rows"):
        as_long_form(table().iloc[:0])
    with pytest.raises(ArgumentError, match="expected a table of pandas or polars, got list"):
        as_long_form([1, 2, 3])


def test_a_time_off_the_frequency_is_named():
    days = [*pd.date_range("2024-01-01", periods=4), pd.Timestamp("2024-01-04 07:00")]
    with pytest.raises(DataError, match="2024-01-04 07:00:00 that is no whole number of steps"):
        as_long_form(table(ds=[*days, *days]), frequency="D")


def test_a_time_that_is_far_off_does_not_fill_the_memory():
    with pytest.raises(DataError, match="'b' has 5 rows from 1 to 1000000000000, .* steps of 1;"):
        as_long_form(table(ds=[1, 2, 3, 4, 10**12] * 2))
    days = [*pd.date_range("1700-01-01", periods=4), pd.Timestamp("2200-01-01")]
    with pytest.raises(DataError, match="is one of these times wrong"):
        as_long_form(table(ds=[*days, *days]), frequency="D")


def test_dates_without_any_order_ask_for_the_frequency():
    days = pd.to_datetime(["2024-01-01", "2024-01-02", "2024-01-09", "2024-02-20", "2024-03-01"])
    with pytest.raises(DataError, match="frequency='D'"):
        as_long_form(table(ds=[*days, *days]))
    assert as_long_form(table(ds=[*days, *days]), frequency="D").lengths.tolist() == [61, 61]


@pytest.fixture
def sales(tmp_path):
    def write(text, name="sales.csv"):
        path = tmp_path / name
        path.write_text(text)
        return path

    return write


def test_a_csv_names_its_columns_as_it_will(sales):
    path = sales("shop,day,sold,price\n01,2024-01-01,3,9\n01,2024-01-02,,8\n01,2024-01-03,5,7\n")
    names = {"id_column": "shop", "time_column": "day", "target_column": "sold"}
    long = read_long_form(path, **names, columns=["price"], numbers=["price"])
    assert long.ids.tolist() == ["01"]
    assert np.isnan(long.y[1])
    assert long.columns["price"].tolist() == [9, 8, 7]


def test_a_file_of_one_series_needs_no_id(sales):
    path = sales('"Month","Passengers"\n"1949-01",112\n"1949-02",118\n"1949-03",132\n')
    long = read_long_form(path, id_column=None, time_column="Month", target_column="Passengers")
    assert long.ids.tolist() == ["sales"]
    assert long.frequency == "MS"


def test_gzip_and_parquet_hold_the_same(tmp_path, sales):
    text = "unique_id,ds,y\nA,1,3\nA,2,4\n\nA,3,5\n"
    plain = read_long_form(sales(text))
    packed = tmp_path / "sales.csv.gz"
    packed.write_bytes(gzip.compress(text.encode()))
    assert read_long_form(packed).fingerprint == plain.fingerprint
    pytest.importorskip("pyarrow")
    pd.DataFrame({"unique_id": "A", "ds": [1, 2, 3], "y": [3, 4, 5]}).to_parquet(
        tmp_path / "sales.parquet"
    )
    assert read_long_form(tmp_path / "sales.parquet").fingerprint == plain.fingerprint


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("unique_id,ds,y\nA,2024-01-01,3\n\nA,2024-01-02,x\n", "line 4, column 'y'.*'x'"),
        ("unique_id,ds,y\nA,2024-01-01,3\nA,yesterday,4\n", "line 3, column 'ds'.*'yesterday'"),
        (
            "unique_id,ds,y\nA,2024-01-02,3\nA,2024-01-01,4\n",
            "line 3, column 'ds'.*later time above",
        ),
        ("unique_id,ds,y\nA,2024-01-02,3\nA,2024-01-02,4\n", "line 3, column 'ds'.*already"),
        ("unique_id,ds,y\nA,2024-01-02,inf\n", "line 2, column 'y'.*'inf'"),
        ("unique_id,ds\nA,2024-01-02\n", "no column 'y' among unique_id, ds"),
        ("unique_id,ds,y\n", "has no rows"),
        ("unique_id,ds,y,y\nA,1,2,3\n", "two columns 'y'"),
        ("unique_id,ds,\nA,1,2\n", "column 3 has no name"),
        ("", "not a readable CSV"),
    ],
)
def test_a_malformed_csv_is_named_with_line_and_column(sales, text, said):
    with pytest.raises(DataError, match=said) as caught:
        read_long_form(sales(text))
    assert "sales.csv" in str(caught.value)


GOOD = "unique_id,ds,y\n" + "".join(f"A,2024-01-{day:02d},{day}.5\n" for day in range(1, 9))


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(at=st.integers(0, len(GOOD)), gone=st.integers(0, 30), put=st.binary(max_size=12))
def test_a_file_with_a_hole_is_read_or_refused_in_our_words(tmp_path, at, gone, put):
    path = tmp_path / "sales.csv"
    path.write_bytes(GOOD[:at].encode() + put + GOOD[at + gone :].encode())
    try:
        long = read_long_form(path)
    except DataError as error:
        said = str(error)
    else:
        said = "sales.csv"
        assert len(long.y) == long.offsets[-1] == len(long.times)
        assert not np.isinf(long.y).any()
    assert "sales.csv" in said


def test_several_time_zones_are_one_time():
    stamps = ["2024-01-01T00:00+01:00", "2024-01-01T00:00+00:00", "2024-01-01T02:00+01:00"]
    given_rows = pd.DataFrame({"unique_id": "a", "ds": stamps, "y": [1, 2, 3]})
    long = as_long_form(given_rows)
    assert long.frequency == "h"
    assert long.times[0] == pd.Timestamp("2023-12-31 23:00", tz="UTC")


def test_files_that_are_no_series_are_refused(tmp_path):
    with pytest.raises(DataError, match="there is no file"):
        read_long_form(tmp_path / "none.csv")
    with pytest.raises(DataError, match="end in .csv"):
        read_long_form(tmp_path / "none.txt")
    (tmp_path / "bad.parquet").write_bytes(b"PAR1 nothing")
    pytest.importorskip("pyarrow")
    with pytest.raises(DataError, match="not a readable Parquet file"):
        read_long_form(tmp_path / "bad.parquet")
    (tmp_path / "latin.csv").write_bytes("unique_id,ds,y\nCaf\xe9,1,2\n".encode("latin-1"))
    with pytest.raises(DataError, match="line 2, byte 4: not UTF-8"):
        read_long_form(tmp_path / "latin.csv")


def test_a_group_of_m4_is_read_from_its_two_files(tmp_path):
    (tmp_path / "Hourly-train.csv").write_text("V1,V2,V3,V4\nH1,1,2,3\nH2,4,5,\n")
    (tmp_path / "Hourly-test.csv").write_text("V1,V2\nH1,9\nH2,8\n")
    train, whole = read_m4(tmp_path)
    assert train.y.tolist() == [1, 2, 3, 4, 5]
    assert whole.y.tolist() == [1, 2, 3, 9, 4, 5, 8]
    assert whole.without_last(1).fingerprint == train.fingerprint
    (tmp_path / "Hourly-test.csv").write_text("V1,V2\nH1,9\nH3,8\n")
    with pytest.raises(DataError, match="not the same"):
        read_m4(tmp_path)
    with pytest.raises(DataError, match="no file Weekly-train.csv"):
        read_m4(tmp_path, "Weekly")


def test_made_up_sales_are_the_same_each_time():
    first, again = made_up_sales(series=3, days=60), made_up_sales(series=3, days=60)
    assert first.fingerprint == again.fingerprint
    assert first.fingerprint != made_up_sales(series=3, days=60, seed=1).fingerprint
    assert set(first.columns) == {"promotion", "region"}


def test_a_cycle_comes_back_to_where_it_began():
    days = pd.date_range("2024-01-01", periods=15)
    found = calendar_features(days, ["day_of_week"])
    np.testing.assert_allclose(found[:8], found[7:], atol=1e-12)
    np.testing.assert_allclose((found**2).sum(1), 1)
    assert not np.allclose(found[0], found[3])
    with pytest.raises(SettingError, match="only a date has a calendar"):
        calendar_features(pd.Index([1, 2]), ["hour"])


def test_seasons_and_cycles_follow_the_frequency():
    assert [season_of(f) for f in ("h", "30min", "D", "B", "W-SUN", "ME", "QS-OCT", "YS")] == [
        *(24, 48, 7, 5, 52, 12, 4, 1)
    ]
    assert usual_calendar("D") == ("day_of_week", "day_of_year")
    assert usual_calendar(1) == ()
    assert infer_frequency([pd.date_range("2024-01-01", periods=9, freq="2h")]) == "2h"


def test_a_row_with_more_cells_than_the_header_is_refused_and_not_cut(sales):
    text = "unique_id,ds,y\n" + "".join(f"A,2024-01-{day:02d},1,5\n" for day in range(1, 10))
    with warnings.catch_warnings():
        warnings.simplefilter("default")  # as it is outside the tests, where none is an error
        with pytest.raises(DataError, match="line 2 has 4 cells, but the header has 3"):
            read_long_form(sales(text))


@pytest.mark.parametrize(
    ("pattern", "frequency"),
    [
        *[("{:%Y-%m}", "MS"), ("{:%Y%m}", "MS"), ("{:%Y}", "YS-JAN"), ("{:%Y%m%d}", "MS")],
        *[("{:%d.%m.%Y}", "MS"), ("{:%d.%m.%Y %H:%M}", "MS"), ("{:%d.%m.%Y}", "D")],
        *[("{:%m/%d/%Y}", "MS"), ("{:%m/%d/%Y}", "D"), ("{:%d/%m/%Y}", "D")],
    ],
)
def test_years_months_and_days_are_told_apart(sales, pattern, frequency):
    dates = pd.date_range("2001-03-01", periods=40, freq=frequency)
    rows = "".join(f"A,{pattern.format(date)},{n}\n" for n, date in enumerate(dates))
    long = read_long_form(sales("unique_id,ds,y\n" + rows))
    assert long.frequency == frequency
    assert long.times.tolist() == dates.tolist()
    assert not np.isnan(long.y).any()


def test_numbers_that_are_no_months_stay_numbers(sales):
    rows = "".join(f"A,{200000 + n},{n}\n" for n in range(1, 30))
    assert read_long_form(sales("unique_id,ds,y\n" + rows)).frequency == 1


def test_a_missing_value_within_a_series_of_m4_keeps_its_place(tmp_path):
    (tmp_path / "Hourly-train.csv").write_text("V1,V2,V3,V4,V5\nH1,1,,3,\nH2,4,5,6,7\n")
    (tmp_path / "Hourly-test.csv").write_text("V1,V2,V3\nH1,9,\nH2,8,9\n")
    train, whole = read_m4(tmp_path)
    np.testing.assert_array_equal(train.y, [1, np.nan, 3, 4, 5, 6, 7])
    np.testing.assert_array_equal(whole.y, [1, np.nan, 3, 9, 4, 5, 6, 7, 8, 9])
    (tmp_path / "Hourly-test.csv").write_text("V1,V2\nH1,9\nH2,x\n")
    with pytest.raises(DataError, match=r"Hourly-test.csv, line 3, column 'V2': expected a finite"):
        read_m4(tmp_path)


@pytest.mark.parametrize(
    ("frequency", "gap"),
    [("D", False), ("D", True), ("h", False), ("h", True), ("MS", False)],
)
def test_a_time_zone_is_kept_and_days_are_those_of_its_clock(frequency, gap):
    # The clock was put forward on 2024-03-31 and back on 2024-10-27.
    every = pd.date_range("2024-01-01", "2024-12-20", freq=frequency, tz="Europe/Berlin")
    given_rows = pd.DataFrame({"unique_id": "a", "ds": every, "y": np.arange(len(every))})
    kept = given_rows.drop(index=range(3, len(every) - 1, 9)) if gap else given_rows
    long = as_long_form(kept)
    assert long.frequency == frequency
    assert long.times.tolist() == every.tolist()
    assert np.isnan(long.y).sum() == len(given_rows) - len(kept)
    after = long.times_after(2)[0]
    assert str(after.tz) == "Europe/Berlin"
    assert after.tolist() == pd.date_range(every[-1], periods=3, freq=frequency)[1:].tolist()
    other = kept.assign(ds=kept["ds"].dt.tz_convert("UTC"))
    if frequency == "h":
        assert as_long_form(other).fingerprint != long.fingerprint


def test_a_time_zone_of_polars_is_kept():
    polars = pytest.importorskip("polars")
    days = pd.date_range("2024-03-28", periods=6, tz="Europe/Berlin")
    naive = polars.Series("ds", days.tz_convert(None).to_numpy())
    ds = naive.dt.replace_time_zone("UTC").dt.convert_time_zone("Europe/Berlin")
    given_rows = polars.DataFrame({"unique_id": ["a"] * 6, "ds": ds, "y": [1.0] * 6})
    assert as_long_form(given_rows).times.tolist() == days.tolist()


@pytest.mark.parametrize(
    ("times", "frequency", "words"),
    [
        ([1, 2, 3, 4, 5], "MS", "df: ds holds whole numbers, but frequency='MS' is one of dates"),
        (None, 7, "df: ds holds dates, but frequency=7 is a step of whole numbers"),
    ],
)
def test_a_frequency_of_the_other_kind_is_refused(times, frequency, words):
    given_rows = table() if times is None else table(ds=times * 2)
    with pytest.raises(DataError, match=words):
        as_long_form(given_rows, frequency=frequency)


def test_whole_numbers_with_a_gap_stay_the_categories_that_they_are():
    shop = [1, 2, np.nan, 4, 5] * 2
    assert as_long_form(table(shop=shop), columns=["shop"]).columns["shop"].tolist() == [
        *("1", "2", None, "4", "5") * 2
    ]
    half = as_long_form(table(shop=[0.5, 1, np.nan, 2, 3] * 2), columns=["shop"])
    assert half.columns["shop"].tolist() == [*("0.5", "1.0", None, "2.0", "3.0") * 2]


def test_days_with_gaps_are_days_and_not_hours():
    days = pd.date_range("2024-01-01", periods=90).delete(range(3, 88, 9))
    assert as_long_form(pd.DataFrame({"unique_id": "a", "ds": days, "y": 1.0})).frequency == "D"
