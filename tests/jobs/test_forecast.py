import json
import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose

import cellwright as cw
from cellwright.data.long_form import as_long_form
from cellwright.data.long_form_files import read_m4
from cellwright.data.seasonal_series import made_up_sales
from cellwright.errors import CellwrightError, DataError, ModelFileError, SettingError
from cellwright.jobs import Reporter
from cellwright.jobs.forecast import naive2, seasonal_naive
from cellwright.jobs.forecast.measures import measure
from cellwright.jobs.forecast.naive import is_seasonal
from cellwright.jobs.forecast.tables import as_native, forecast_table

WEEK = np.array([3.0, 2, 2, 3, 5, 9, 7])
COLUMNS = {
    "future": "promotion",
    "static": "region",
    "categorical": "region",
}


def series(count=4, days=84, start="2024-01-01"):
    """Weeks of different sizes, a little noise, and a column that lifts the day it is set."""
    draw = np.random.default_rng(0)
    parts = []
    for number in range(count):
        days_of = pd.date_range(start, periods=days - number)
        promotion = (draw.random(len(days_of)) < 0.2).astype(float)
        y = (number + 1) * np.tile(WEEK, 20)[: len(days_of)] * (1 + promotion)
        parts.append(
            pd.DataFrame(
                {
                    "unique_id": f"s{number}",
                    "ds": days_of,
                    "y": y * draw.normal(1, 0.02, len(y)),
                    "promotion": promotion,
                    "region": "north" if number % 2 else "south",
                }
            )
        )
    return pd.concat(parts, ignore_index=True)


def small(**changed):
    options = {"horizon": 7, "layers": [8], "epochs": 2, "window": 28, "patch": 7}
    return cw.Forecaster(**options | changed)


@pytest.fixture(scope="module")
def fitted():
    return small(**COLUMNS).fit(series())


def ahead(table, steps=7):
    """Rows that are known ahead."""
    ends = table.groupby("unique_id")["ds"].max()
    rows = [
        {"unique_id": name, "ds": end + pd.Timedelta(days=day), "promotion": day % 2}
        for name, end in ends.items()
        for day in range(1, steps + 1)
    ]
    return pd.DataFrame(rows)


def test_a_forecast_has_a_row_for_each_series_and_step(fitted):
    table = fitted.predict(future=ahead(series()))
    assert list(table)[:3] == ["unique_id", "ds", "yhat"]
    assert set(list(table)[3:]) == {f"yhat-{end}-{at}" for end in ("lo", "hi") for at in (80, 95)}
    assert table["unique_id"].tolist() == [f"s{n}" for n in range(4) for _ in range(7)]
    ends = series().groupby("unique_id")["ds"].max()
    first = table.groupby("unique_id")["ds"].min()
    assert (first - ends == pd.Timedelta(days=1)).all()
    inner = table["yhat-lo-80"] <= table["yhat"]
    assert inner.all()
    assert (table["yhat-lo-95"] <= table["yhat-lo-80"]).all()
    assert (table["yhat-hi-95"] >= table["yhat-hi-80"]).all()


def test_it_learns_the_week_and_what_is_known_ahead():
    model = small(**COLUMNS, epochs=40, layers=[16], learning_rate=1e-2).fit(series())
    found = model.measures(series())
    assert found["owa"] < 0.75
    assert model.score(series()) == pytest.approx(-found["mase"])
    with_it, without = (
        model.predict(future=ahead(series()).assign(promotion=value))["yhat"].mean()
        for value in (1.0, 0.0)
    )
    assert with_it > 1.3 * without


def test_the_same_seed_gives_the_same_forecast_and_another_another(fitted):
    again = small(**COLUMNS).fit(series())
    other = small(**COLUMNS, random_state=1).fit(series())
    future = ahead(series())
    pd.testing.assert_frame_equal(again.predict(future=future), fitted.predict(future=future))
    assert not np.allclose(
        other.predict(future=future)["yhat"], again.predict(future=future)["yhat"]
    )


def test_a_forecast_grows_with_the_series(fitted):
    """Each window is scaled by itself: a series ten times as large has a forecast so large."""
    df, future = series(), ahead(series())
    large = fitted.predict(df.assign(y=10 * df["y"]), future=future)["yhat"]
    same = fitted.predict(df, future=future)["yhat"]
    # The one thing that tells the size is the decimal logarithm of the level.
    np.testing.assert_allclose(large, 10 * same, rtol=0.1)


def test_what_comes_later_is_not_seen(fitted):
    long, changed = fitted.as_series(series()), series()
    last = changed.groupby("unique_id").tail(7).index
    changed.loc[last, "y"] = 1e6
    other = fitted.as_series(changed)
    pd.testing.assert_frame_equal(
        fitted.predict(long.without_last(7), future=series()),
        fitted.predict(other.without_last(7), future=series()),
    )


@pytest.mark.parametrize(
    "changed",
    [
        {"decoder": "recurrent", "cell": "lstm"},
        {"output": "normal", "bidirectional": True},
        {"output": "student_t", "members": 2, "levels": 50},
        {"strategy": "recursive", "paths": 8},
        {"transform": "log", "series_scaling": "standard", "projection": 4},
        {"series_scaling": "level", "error_units": "level", "autoregression": False},
        {"series_scaling": "none", "error_units": "spread", "calendar": "none"},
        {"past": "promotion", "future": (), "patch": 1},
        {"naive_seasons": 3, "windows_per_series": 3, "validation_fraction": 0.2, "patience": 1},
    ],
)
def test_every_way_to_forecast_gives_finite_ordered_intervals(changed):
    df = series(2, 63)
    model = small(**{**COLUMNS, "epochs": 1, **changed}).fit(df)
    table = model.predict(future=ahead(df))
    assert np.isfinite(table.drop(columns=["unique_id", "ds"])).all(axis=None)
    level = "50" if "levels" in changed else "95"
    assert (table[f"yhat-lo-{level}"] < table[f"yhat-hi-{level}"]).all()


def test_counts_are_forecast_as_counts():
    df = series(2, 63)
    model = small(output="negative_binomial", series_scaling="level", epochs=20)
    model.fit(df.assign(y=df["y"].round()))
    table = model.predict()
    numbers = table.drop(columns=["unique_id", "ds"]).to_numpy()
    assert (numbers == np.round(numbers)).all()
    assert (numbers >= 0).all()
    with pytest.raises(DataError, match="wants counts; the series 's0' has"):
        model.fit(df)


def test_the_recursive_strategy_sees_further_than_it_learned():
    df = series(2, 63)
    model = small(strategy="recursive", paths=8).fit(df)
    assert len(model.predict(horizon=17)) == 34
    shorter = model.predict(horizon=10)["yhat"].to_numpy().reshape(2, 10)
    assert np.isfinite(shorter).all()


def test_a_series_is_forecast_alike_whatever_is_forecast_beside_it():
    df = series(18, 63)
    model = small(strategy="recursive", paths=8, epochs=1).fit(df)
    together = model.predict(horizon=10).set_index("unique_id").drop(columns="ds")
    for name in ("s3", "s17"):
        alone = model.predict(df[df["unique_id"] == name], horizon=10).drop(columns=["ds"])
        assert_allclose(alone.set_index("unique_id"), together.loc[name], rtol=1e-4)
        shorter = model.predict(df[df["unique_id"] == name], horizon=4)
        assert_allclose(shorter["yhat"], together.loc[name, "yhat"][:4], rtol=1e-4)


@pytest.mark.parametrize("changed", [{}, {"strategy": "recursive", "paths": 8}])
def test_new_observations_move_the_forecast_without_learning_anew(changed):
    df = series(2, 70).drop(columns=["promotion", "region"])
    late = df["ds"] > "2024-03-01"
    model = small(epochs=1, **changed).fit(df[~late])
    before = {name: weight.clone() for name, weight in model.network_.state_dict().items()}
    first, then = model.predict(), model.predict(df)
    assert (then["ds"] - first["ds"] == df["ds"].max() - df["ds"][~late].max()).iloc[:7].all()
    # Nothing but the last window of each series is read.
    kept = df.groupby("unique_id").tail(model.facts_.window)
    pd.testing.assert_frame_equal(model.predict(kept), then)
    higher = df.assign(y=df["y"].where(~late, 2 * df["y"]))
    assert (model.predict(higher)["yhat"] > then["yhat"]).mean() > 0.9
    for name, weight in model.network_.state_dict().items():
        assert weight.equal(before[name]), name


def test_a_shorter_horizon_is_the_beginning_of_the_longer(fitted):
    whole = fitted.predict(future=ahead(series()))
    short = fitted.predict(horizon=3, future=ahead(series(), 3))
    expected = whole.groupby("unique_id").head(3).reset_index(drop=True)
    pd.testing.assert_frame_equal(short, expected)


def test_missing_values_and_rows_are_the_same_thing():
    df = series(2, 63).drop(columns=["promotion", "region"])
    holes = df["y"].where(np.arange(len(df)) % 9 != 4)
    model = small().fit(df.assign(y=holes))
    left_out = model.predict(df.assign(y=holes).dropna())
    pd.testing.assert_frame_equal(left_out, model.predict())
    assert np.isfinite(left_out["yhat"]).all()


def test_a_series_shorter_than_the_window_is_forecast_from_what_there_is(fitted):
    short = series().groupby("unique_id").head(9)
    table = fitted.predict(short, future=ahead(short))
    assert np.isfinite(table["yhat"]).all()


def test_what_is_held_back_is_not_learned_from():
    df = series(2, 63)
    later = df.copy()
    later.loc[later.groupby("unique_id").tail(7).index, ["y", "promotion"]] *= 3
    options = {**COLUMNS, "validation_fraction": 0.1, "epochs": 1}
    one, other = small(**options).fit(df), small(**options).fit(later)
    for name, weight in one.network_.state_dict().items():
        assert weight.equal(other.network_.state_dict()[name]), name
    assert one.history_[0]["validation_loss"] != other.history_[0]["validation_loss"]


def test_conformal_intervals_are_as_wide_as_what_was_missed_says():
    df = series(6, 84)
    options = {"validation_fraction": 0.3, "epochs": 1, "levels": 80}
    plain = small(**options).fit(df)
    model = small(**options, conformal=True).fit(df)
    validation = as_long_form(df).lengths * 0.3
    assert len(model.facts_.margins[0]) == 7
    inside = []
    for back in range(7, int(validation.min()) + 1):
        known = model.as_series(df).without_last(back)
        table = model.predict(known).merge(df, on=["unique_id", "ds"])
        inside.append((table["y"] >= table["yhat-lo-80"]) & (table["y"] <= table["yhat-hi-80"]))
    # Exactly the order statistic on the windows that calibrated it, whatever was learned.
    assert 0.78 <= pd.concat(inside).mean() <= 0.88
    assert not np.allclose(plain.predict()["yhat-hi-80"], model.predict()["yhat-hi-80"])


def test_levels_that_columns_would_call_the_same_are_one():
    levels = [95, 80, 80.0000001, 99.9999]
    table = small(epochs=1, levels=levels).fit(series(2, 63)).predict()
    ends = [f"yhat-{end}-{level}" for level in (80, 95, 99.9999) for end in ("lo", "hi")]
    assert list(table) == ["unique_id", "ds", "yhat", *ends]
    assert np.isfinite(table[ends]).all(axis=None)


def test_what_does_nothing_is_no_option():
    assert "scaling" not in small().get_params()


@pytest.mark.parametrize("changed", [{"patience": 2}, {"conformal": True, "levels": 50}])
def test_a_patch_longer_than_the_horizon_has_room_in_what_is_held_back(changed):
    options = {"strategy": "recursive", "horizon": 2, "season": 7, "patch": 7, "paths": 8}
    model = small(**options, **changed, validation_fraction=0.02).fit(series())
    assert np.isfinite(model.history_[-1]["validation_loss"])


def test_what_cannot_be_watched_or_calibrated_is_found_before_the_training():
    def started():
        raise AssertionError("the training has begun")

    df = series(2, 63)
    last = df.groupby("unique_id").tail(7).index
    unseen = df.assign(y=df["y"].where(~df.index.isin(last)))
    with pytest.raises(DataError, match="nothing was observed in the steps that are kept"):
        small(validation_fraction=0.1).fit(unseen, on_start=started)
    options = {"conformal": True, "validation_fraction": 0.1, "levels": [50, 80]}
    with pytest.raises(SettingError, match=r"level=0.5: .* at least 1 samples .* there were 0"):
        small(**options).fit(df.assign(y=df["y"].where(df.index % 7 != 0)), on_start=started)
    with pytest.raises(SettingError, match=r"level=0.8: .* at least 4 samples .* there were 2"):
        small(**options).fit(df, on_start=started)


def test_a_backtest_stands_beside_what_came_and_never_saw_it():
    df = series(2, 70).drop(columns=["promotion", "region"])
    table = small(epochs=1).backtest(df, windows=3, step=5)
    assert list(table)[:4] == ["unique_id", "ds", "cutoff", "y"]
    assert len(table) == 3 * 2 * 7
    assert (table["ds"] > table["cutoff"]).all()
    own = table[table["unique_id"] == "s0"]
    last = df[df["unique_id"] == "s0"]["ds"].max()
    assert [str(at.date()) for at in own["cutoff"].unique()] == [
        str((last - pd.Timedelta(days=7 + 5 * back)).date()) for back in (2, 1, 0)
    ]
    merged = own.merge(df, on=["unique_id", "ds"])
    np.testing.assert_allclose(merged["y_x"], merged["y_y"])
    later = df.copy()
    later.loc[later.groupby("unique_id").tail(7).index, "y"] *= 50
    again = small(epochs=1).backtest(later, windows=3, step=5)
    first = table["cutoff"] == own["cutoff"].min()
    np.testing.assert_allclose(again[first]["yhat"], table[first]["yhat"])


def test_with_refit_each_window_has_a_training_of_its_own():
    df = series(2, 70).drop(columns=["promotion", "region"])
    table = small(epochs=1).backtest(df, windows=2)
    last = table[table["cutoff"] == table.groupby("unique_id")["cutoff"].transform("max")]
    known = small().as_series(df).without_last(7)
    np.testing.assert_allclose(last["yhat"], small(epochs=1).fit(known).predict()["yhat"])


def test_without_refit_one_training_serves_all_windows():
    df = series(2, 70).drop(columns=["promotion", "region"])
    table = small(epochs=1).backtest(df, windows=2, refit=False)
    fitted = small(epochs=1).fit(small().as_series(df).without_last(14))
    last = table[table["cutoff"] == table.groupby("unique_id")["cutoff"].transform("max")]
    expected = fitted.predict(small().as_series(df).without_last(7))
    np.testing.assert_allclose(last["yhat"], expected["yhat"])


def test_polars_comes_back_as_polars():
    polars = pytest.importorskip("polars")
    df = series(2, 63)[["unique_id", "ds", "y"]]
    given = polars.DataFrame({name: cells.to_list() for name, cells in df.items()})
    model = small(epochs=1).fit(given)
    table = model.predict(given)
    assert isinstance(table, polars.DataFrame)
    assert table.columns == list(model.predict())
    np.testing.assert_allclose(table["yhat"].to_numpy(), model.predict()["yhat"])


def test_a_saved_model_forecasts_the_same(fitted, tmp_path):
    fitted.save(tmp_path / "model.cw")
    again = cw.load(tmp_path / "model.cw")
    future = ahead(series())
    pd.testing.assert_frame_equal(
        again.predict(series(), future=future), fitted.predict(future=future)
    )
    with pytest.raises(DataError, match="keeps no series; give df"):
        again.predict()


def test_an_interrupted_training_forecasts_the_series_that_it_has_begun_to_learn():
    class Interrupt(Reporter):
        def advanced(self, progress):
            raise KeyboardInterrupt

    other = series().assign(unique_id=lambda table: "other " + table["unique_id"])
    model = small(epochs=1).fit(series())
    with pytest.raises(KeyboardInterrupt):
        model.fit(other, reporter=Interrupt())
    assert set(model.predict()["unique_id"]) == set(other["unique_id"])


def test_a_file_that_contradicts_itself_is_refused(fitted, tmp_path):
    from safetensors import safe_open
    from safetensors.torch import save_file

    fitted.save(tmp_path / "model.cw")
    with safe_open(tmp_path / "model.cw", "pt") as file:
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        document = json.loads(file.metadata()["cellwright"])
    for change in (
        {"window": 2**20},
        {"patch": 5},
        {"season": 0},
        {"margins": [[0.0]]},
        {"columns": [{"name": "x", "role": "sideways"}]},
    ):
        changed = {**document, "facts": {**document["facts"], **change}}
        metadata = {"cellwright": json.dumps(changed)}
        save_file(tensors, tmp_path / "bad.cw", metadata=metadata)
        with pytest.raises(ModelFileError):
            cw.load(tmp_path / "bad.cw")


class Stop(Exception):
    pass


def test_a_training_that_is_cut_off_and_resumed_takes_the_same_steps(tmp_path):
    df = series(3, 63)
    options = {**COLUMNS, "epochs": 3, "windows_per_series": 5, "dropout": 0.3}
    whole = small(**options).fit(df)

    def stop(history):
        if len(history) == 2:
            raise Stop

    checkpoint = tmp_path / "checkpoint.safetensors"
    with pytest.raises(Stop):
        small(**options).fit(df, checkpoint=checkpoint, on_epoch=stop)
    resumed = small(**options).fit(df, checkpoint=checkpoint, resume=True)
    for name, weight in whole.network_.state_dict().items():
        assert weight.equal(resumed.network_.state_dict()[name]), name


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"horizon": 0}, "horizon=0"),
        ({"conformal": True}, "conformal needs validation data"),
        ({"patience": 2}, "patience needs validation data"),
        ({"patch": 99}, "patch=99 is longer than the window of 28"),
        ({"calendar": "dya_of_week"}, "Did you mean 'day_of_week'"),
        ({"past": "y"}, "is no further column"),
        ({"past": "promotion", "future": "promotion"}, "named as past and future"),
        ({"categorical": "region"}, "is not named as past, future or static"),
        ({"past": "promotion", "strategy": "recursive"}, "would have to know it ahead"),
        ({"output": "negative_binomial", "transform": "log"}, "leave out transform='log'"),
        ({"levels": 100}, "levels=100"),
        ({"levels": []}, "give one level at least"),
        ({"output": "normal", "error_units": "level"}, "likelihood, by which output='normal'"),
    ],
)
def test_options_that_cannot_be_are_refused(changed, said):
    with pytest.raises(SettingError, match=said):
        small(**changed).fit(series(2, 63))


def test_data_that_cannot_be_used_are_named(fitted):
    df, future = series(), ahead(series())
    with pytest.raises(DataError, match="the series 's2' has 7 steps; a horizon of 7"):
        small().fit(df[(df["unique_id"] != "s2") | (df["ds"] < "2024-01-08")])
    with pytest.raises(DataError, match="no column 'price'"):
        small(past="price").fit(df)
    with pytest.raises(DataError, match="'promotion' must be known ahead"):
        fitted.predict(df)
    with pytest.raises(DataError, match="no row for the series 's3' at 2024-03-22"):
        fitted.predict(df, future=future[future["unique_id"] != "s3"])
    with pytest.raises(DataError, match="category 'east' that was never seen"):
        fitted.predict(df.assign(region="east"), future=future)
    moved = df["region"].where(df["ds"] > "2024-02-01", "west")
    with pytest.raises(DataError, match="'region' changes within the series 's0'"):
        small(**COLUMNS).fit(df.assign(region=moved))
    with pytest.raises(DataError, match="is empty for the series 's0' at 2024-01-03"):
        small(**COLUMNS).fit(df.assign(promotion=df["promotion"].where(df.index != 2)))
    with pytest.raises(DataError, match="wants numbers above 0; the series 's0' has 0"):
        small(transform="log").fit(df.assign(y=df["y"].where(df.index != 3, 0.0)))
    with pytest.raises(DataError, match="'s1' has nothing observed in the last 28 steps"):
        fitted.predict(df.assign(y=df["y"].where(df["unique_id"] != "s1")), future=future)
    with pytest.raises(SettingError, match="learned to see 7 steps ahead"):
        fitted.predict(df, 8)
    with pytest.raises(DataError, match="leave nothing to learn from"):
        small().backtest(df, windows=12)


def test_new_files_are_read_by_the_frequency_that_was_learned(tmp_path):
    table = pd.DataFrame({"unique_id": "a", "ds": range(80), "y": np.arange(80) % 5})
    dates = table.assign(ds=pd.date_range("2024-01-01", periods=80, freq="D"))

    def told(model, given):
        given.to_csv(tmp_path / "new.csv", index=False)
        read = cw.jobs.samples(model, tmp_path, str(tmp_path / "new.csv"), None)
        return cw.jobs.predictions(model, read)

    counting, by_day = (small(epochs=1, patch=1).fit(each) for each in (table, dates))
    # What could be years, and dates of which every other is missing.
    years = table.assign(ds=table["ds"] + 1700)
    assert told(counting, years)["ds"].tolist() == [*range(1780, 1787)]
    spaced = dates.iloc[1::2]
    pd.testing.assert_frame_equal(told(by_day, spaced), by_day.predict(spaced))
    assert (np.diff(by_day.predict(spaced)["ds"]) == np.timedelta64(1, "D")).all()
    with pytest.raises(DataError, match="goes by steps of '2D', and it learned .* go by 'D'"):
        by_day.predict(as_long_form(spaced))


def test_a_second_fit_forgets_the_frequency_of_the_first():
    df = series(2, 63).drop(columns=["promotion", "region"])
    model = small(epochs=1).fit(df)
    counted = df.assign(ds=np.arange(len(df)))
    with pytest.raises(DataError, match="holds whole numbers, but frequency='D' is one of dates"):
        model.predict(counted)
    assert model.fit(counted).predict()["ds"].tolist()[:2] == [63, 64]


def test_conformal_goes_with_the_recursive_strategy():
    options = {"strategy": "recursive", "paths": 8, "patch": 14, "epochs": 1, "levels": 50}
    df = series(3, 70)
    model = small(**options, conformal=True, validation_fraction=0.3).fit(df)
    assert np.isfinite(model.facts_.margins).all()
    assert np.isfinite(model.predict()["yhat-lo-50"]).all()


def test_naive_forecasts_repeat_what_was():
    long = made_up_sales(series=2, days=60)
    last = seasonal_naive(long, 9, 7)
    tail = pd.Series(long.y[long.rows_of(0)]).interpolate().to_numpy()[-7:]
    np.testing.assert_allclose(last[0], np.concatenate([tail, tail[:2]]))
    week = np.tile([1.0, 2, 3, 4, 5, 6, 70], 9)
    assert is_seasonal(week, 7)
    assert not is_seasonal(np.random.default_rng(0).normal(size=63), 7)
    table = pd.DataFrame({"unique_id": "a", "ds": np.arange(63), "y": week})
    np.testing.assert_allclose(naive2(as_long_form(table), 8, 7)[0], week[:8])


@pytest.mark.parametrize("missing", [1, 3, 9])
@pytest.mark.parametrize("forecast", [seasonal_naive, naive2])
def test_naive_forecasts_count_from_the_last_row_though_its_value_is_missing(forecast, missing):
    week = np.tile(np.arange(1.0, 8), 9)
    y = np.where(np.arange(63) < 63 - missing, week, np.nan)
    table = pd.DataFrame({"unique_id": "a", "ds": np.arange(63), "y": y})
    np.testing.assert_allclose(forecast(as_long_form(table), 3, 7), [[1, 2, 3]])
    empty = pd.DataFrame({"unique_id": "b", "ds": np.arange(3), "y": np.nan})
    both = as_long_form(pd.concat([table, empty]))
    assert np.isnan(forecast(both, 3, 7)[1]).all()


def test_measures_are_those_of_their_formulas():
    known = as_long_form(
        pd.DataFrame({"unique_id": "a", "ds": range(6), "y": [1.0, 2, 4, 3, 5, 6]})
    )
    truth = pd.DataFrame({"unique_id": "a", "ds": [6, 7, 8], "y": [7.0, np.nan, 9]})
    quantiles = np.array([[[6.0, 8, 9], [0, 0, 0], [9.5, 12, 13]]])
    found = measure(forecast_table(known, quantiles, [80]), truth, known, 2, [80])
    scale = np.mean([3, 1, 1, 3])
    assert found["mase"] == pytest.approx(np.mean([1, 3]) / scale)
    assert found["smape"] == pytest.approx(np.mean([200 * 1 / 15, 200 * 3 / 21]))
    assert found["mape"] == pytest.approx(np.mean([100 / 7, 300 / 9]))
    assert found["coverage_80"] == 0.5
    against = [np.mean([200 * 1 / 13, 200 * 3 / 15]), np.mean([1, 3]) / scale]
    owa = 0.5 * (found["smape"] / against[0] + found["mase"] / against[1])
    assert found["owa"] == pytest.approx(owa)
    pinball = [0.1 * 1, 0.5 * 1, 0.1 * 2, 0.9 * 0.5, 0.5 * 3, 0.1 * 4]
    assert found["crps"] == pytest.approx(2 * sum(pinball) / 3 / 16)
    with pytest.raises(DataError, match="no value to hold the forecasts against"):
        measure(forecast_table(known, quantiles, [80]), truth.assign(y=np.nan), known, 2, [80])


def judged(y, known, forecast, season=2, levels=()):
    """Measures of one and the same forecast for series of these values, the last two the test."""
    table = pd.concat(
        pd.DataFrame({"unique_id": name, "ds": np.arange(len(values)), "y": values})
        for name, values in y.items()
    )
    before = as_long_form(table[table["ds"] < known])
    told = np.broadcast_to(forecast, (len(y), 2, 2 * len(levels) + 1))
    return measure(forecast_table(before, told, levels), table, before, season, levels)


def test_measures_without_a_number_are_none_and_the_others_are_there():
    constant = judged({"a": [5.0] * 8}, 6, 6.0)
    assert np.isnan(constant["mase"])
    assert np.isnan(constant["owa"])
    assert constant["mase_left_out"] == 1
    assert constant["smape"] == pytest.approx(200 / 11)
    settled = judged({"a": [1.0, 2, 4, 5, 5, 5, 5, 5]}, 6, 6.0)
    assert settled["owa"] == np.inf  # Naive2 makes no error
    periodic = judged({"a": [1.0, 2] * 4}, 6, 3.0)
    assert np.isnan(periodic["mase"])
    rounded = judged({"a": [0.1 + 0.2, 0.3] * 2 + [0.3] * 4, "b": np.arange(8.0)}, 6, 0.4)
    assert rounded["mase_left_out"] == 1
    assert rounded["mase"] == pytest.approx(6.1 / 2)
    zeros = judged({"a": [1.0, 2, 3, 4, 5, 6, 0, 0]}, 6, 1.0, levels=[80])
    assert np.isnan(zeros["mape"])
    assert np.isnan(zeros["crps"])
    assert zeros["crps_left_out"] == zeros["mape_left_out"] == 1


def test_what_is_left_out_of_a_mean_is_counted_and_short_series_are_not():
    found = judged({"long": [1.0, 2, 4, 3, 5, 6, 7, 9], "flat": [3.0] * 8}, 6, 8.0)
    assert found["mase_left_out"] == 1
    assert found["mase"] == pytest.approx(1 / np.mean([3, 1, 1, 3]))
    both = {"long": np.arange(12.0) ** 2, "short": [1.0, 3, 4]}
    table = pd.concat(
        pd.DataFrame({"unique_id": name, "ds": np.arange(len(y)) + 12 - len(y), "y": y})
        for name, y in both.items()
    )
    known = as_long_form(table[table["ds"] < 11])
    told = forecast_table(known, np.full((2, 1, 1), 100.0), [])
    found = measure(told, table, known, 4)
    seasonal = np.mean(np.arange(11.0)[4:] ** 2 - np.arange(11.0)[:-4] ** 2)
    assert found["mase"] == pytest.approx(np.mean([21 / seasonal, 96 / 2]))
    assert "mase_left_out" not in found


def test_a_run_folder_holds_model_numbers_and_picture(tmp_path):
    series(2, 63).to_csv(tmp_path / "sales.csv", index=False)
    settings = {"horizon": 7, "layers": [8], "epochs": 1, "window": 28, **COLUMNS}
    config = cw.jobs.configure(str(tmp_path / "sales.csv"), job="forecast", **settings)
    result = cw.jobs.run(config, cw.jobs.RunFolder(tmp_path / "run"))
    assert next(iter(result["test"])) == "mase"
    assert {"forecasts.png", "forecasts.csv", "model.cw"} <= set(result["files"])
    model = cw.load(tmp_path / "run")
    given = cw.jobs.samples(model, tmp_path / "run", None, None)
    found, report = cw.jobs.scores(model, given)
    assert found["mase"] == pytest.approx(result["test"]["mase"])
    assert "coverage_80" in report
    table = cw.jobs.predictions(model, given)
    assert len(table) == 14
    # A file may end with rows that have no target yet: these are forecast.
    going_on = pd.concat([series(2, 63), ahead(series(2, 63)).assign(region="south")])
    going_on.loc[going_on["unique_id"] == "s1", "region"] = "north"
    going_on.to_csv(tmp_path / "next.csv", index=False)
    samples = cw.jobs.samples(model, tmp_path / "run", str(tmp_path / "next.csv"), None)
    following = cw.jobs.predictions(model, samples)
    assert following["ds"].min() > series(2, 63)["ds"].max() - pd.Timedelta(days=1)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda df, test: {"kind": df["kind"].where(~test, "sale")}, "category 'sale' that was"),
        (lambda df, test: {"promotion": df["promotion"].where(~test)}, "'promotion', which is kno"),
        (lambda df, test: {"y": df["y"].where(~test)}, "no series has a value in its last 7 steps"),
        (lambda df, test: {"y": df["y"].where(test)}, "has nothing observed in the last 28 steps"),
    ],
)
def test_a_test_part_that_cannot_be_used_is_refused_before_the_training(tmp_path, change, said):
    df = series(2, 63).assign(kind="plain")
    test = df.index.isin(df.groupby("unique_id").tail(7).index)
    df.assign(**change(df, test)).to_csv(tmp_path / "sales.csv", index=False)
    chosen = {"future": ["promotion", "kind"], "categorical": "kind"}
    config = cw.jobs.configure(
        str(tmp_path / "sales.csv"), job="forecast", horizon=7, window=28, **chosen
    )
    with pytest.raises(DataError, match=said):
        config.read_data()


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"past": ["promo"]}, r"sales: .* no column 'promo'; .* promotion, region. Did you mean"),
        ({"frequency": "W"}, "frequency='W' means nothing to these data"),
        ({"time_column": "day"}, "time_column='day' means nothing to these data"),
        ({"data_dir": "sales"}, "data folder goes with m4-hourly and m4-weekly, not with sales"),
    ],
)
def test_what_the_made_up_sales_cannot_heed_is_refused(asked, said):
    with pytest.raises(DataError, match=said):
        cw.jobs.configure("sales", job="forecast", horizon=7, **asked).read_data()


def test_a_run_on_a_series_without_a_mase_is_finished(tmp_path):
    days = pd.date_range("2024-01-01", periods=63)
    table = pd.DataFrame({"unique_id": "a", "ds": days, "y": np.tile(WEEK, 9)})
    table.to_csv(tmp_path / "week.csv", index=False)
    settings = {"horizon": 7, "layers": [8], "epochs": 1, "window": 28}
    config = cw.jobs.configure(str(tmp_path / "week.csv"), job="forecast", **settings)
    folder = cw.jobs.RunFolder(tmp_path / "run")
    assert np.isnan(cw.jobs.run(config, folder)["test"]["mase"])
    text = (tmp_path / "run" / "result.json").read_text()

    def refused(word):
        raise AssertionError(f"{word} is not JSON")

    assert json.loads(text, parse_constant=refused)["test"]["mase"] is None


SHARED = os.environ.get("CELLWRIGHT_SHARED_DATA")
M4 = (Path(SHARED) if SHARED else Path(__file__).parents[3] / "shared" / "data") / "m4"


@pytest.mark.slow
@pytest.mark.skipif(not M4.exists(), reason="M4 is not there")
def test_benchmarks_of_m4_hourly_are_the_published_ones():
    train, whole = read_m4(M4)
    truth = whole.last(48).frame()
    naive, divisor = (
        measure(forecast_table(train, f(train, 48, 24)[..., None], []), truth, train, 24)
        for f in (seasonal_naive, naive2)
    )
    assert naive["smape"] == pytest.approx(13.912, abs=5e-4)
    assert naive["mase"] == pytest.approx(1.193, abs=5e-4)
    assert naive["owa"] == pytest.approx(0.6275, abs=5e-4)
    assert divisor["smape"] == pytest.approx(18.383, abs=5e-4)
    assert divisor["mase"] == pytest.approx(2.395, abs=5e-4)
    assert divisor["owa"] == 1


def test_forecasts_are_in_the_time_zone_of_the_series():
    zone = "Europe/Berlin"  # where the clock was put forward on 2024-03-31
    naive = series(2, 90)
    df = naive.assign(ds=naive["ds"].dt.tz_localize(zone))
    model = small(future="promotion", epochs=1).fit(df)
    wanted = ahead(naive).assign(ds=lambda rows: rows["ds"].dt.tz_localize(zone))
    found = model.predict(df, future=wanted)
    assert str(found["ds"].dt.tz) == zone
    assert found["ds"].tolist() == wanted["ds"].tolist()
    assert np.isfinite(model.score(df))
    plain = small(future="promotion", epochs=1).fit(naive)
    assert plain.predict(naive, future=ahead(naive))["yhat"].tolist() == found["yhat"].tolist()


def test_a_table_of_polars_keeps_its_time_zone():
    polars = pytest.importorskip("polars")
    days = pd.date_range("2024-03-25", periods=3, tz="Europe/Berlin")
    table = pd.DataFrame({"unique_id": "a", "ds": days, "yhat": 1.0})
    made = as_native(table, polars.DataFrame())
    assert made["ds"].dtype.time_zone == "Europe/Berlin"
    assert as_long_form(made.rename({"yhat": "y"})).times.tolist() == days.tolist()


@pytest.mark.parametrize(
    ("column", "cell", "said"),
    [
        ("unique_id", [], "row 1, column 'unique_id': expected a name or a number, got \\[\\]"),
        ("ds", 1j, r"row 1, column 'ds': expected a date or a whole number, got '1j'"),
        ("ds", [1, 2], r"row 1, column 'ds': expected a date or a whole number, got '\[1, 2\]'"),
        ("ds", "\ud800", "row 1, column 'ds': expected a date or a whole number, got"),
        ("y", pd.Timestamp("2024-01-01"), "row 1, column 'y': expected a finite number"),
        ("y", 1j, "row 1, column 'y': expected a finite number or nothing, got '1j'"),
        ("promotion", "x", "row 1, column 'promotion': expected a finite number"),
    ],
)
def test_a_cell_that_is_odd_is_named_in_what_is_known_and_in_what_is_ahead(
    fitted, column, cell, said
):
    for name, table in (("df", series()), ("future", ahead(series()))):
        if column in table:
            cells = table[column].astype(object)
            cells.iat[1] = cell
            tables = {
                "df": series(),
                "future": ahead(series()),
                name: table.assign(**{column: cells}),
            }
            with pytest.raises(DataError, match=f"{name}, {said}"):
                fitted.predict(**tables)


@pytest.mark.parametrize("kind", ["datetime64[ns]", "timedelta64[ns]", complex])
def test_a_column_of_dates_or_of_complex_numbers_holds_no_numbers(kind):
    df = series()
    with pytest.raises(DataError, match="row 0, column 'y': expected a finite number"):
        small().fit(df.assign(y=np.arange(len(df)).astype(kind)))


def test_a_column_that_is_there_twice_is_refused(fitted):
    df, future = series(), ahead(series())
    for name in ("unique_id", "ds", "y", "promotion", "region"):
        with pytest.raises(DataError, match=f"df: there are several columns '{name}'"):
            fitted.predict(pd.concat([df, df[[name]]], axis=1), future=future)
    with pytest.raises(DataError, match="future: there are several columns 'ds'"):
        fitted.predict(df, future=pd.concat([future, future[["ds"]]], axis=1))


def test_numbers_that_are_too_large_are_refused(fitted):
    df, future = series(), ahead(series())
    vast = df.assign(promotion=df["promotion"].where(df.index != 3, 1e300))
    with pytest.raises(DataError, match="'promotion' are too large to be scaled"):
        small(future="promotion").fit(vast)
    vast = df["y"].where(df["unique_id"] != "s3", 1.7e308)
    with pytest.raises(DataError, match="the forecast of the series 's3' is no finite number"):
        fitted.predict(df.assign(y=vast), future=future)
    vast = future["promotion"].astype(float).where(future.index != 0, 1e300)
    with pytest.raises(DataError, match="the forecast of the series 's0' is no finite number"):
        fitted.predict(df, future=future.assign(promotion=vast))


def test_categories_that_are_whole_numbers_are_the_same_ahead():
    df, future = series(), ahead(series())
    df["promotion"] = df["promotion"].astype(int)
    future = pd.concat([future, future.tail(1).assign(ds=pd.Timestamp("2025-01-01"))])
    future["promotion"] = [*future["promotion"].iloc[:-1], None]  # a gap makes them 0.0 and 1.0
    model = small(future="promotion", categorical="promotion", epochs=1).fit(df)
    assert np.isfinite(model.predict(future=future)["yhat"]).all()


_ODD_CELLS = (
    *(np.nan, np.inf, 1e300, -1.0, 0.5, 7, 2**62, 1j, None, pd.NA, True, b"a", {}, [], [1.0, 2.0]),
    *("", "new", "\ud800", "2024-01-03", "2024-01-03T00:00+01:00", "9999-12-31"),
    *(pd.Timestamp("2024-01-02"), pd.Timestamp("2024-01-02", tz="Europe/Berlin")),
)
_NAMES = ("unique_id", "ds", "y", "count", "kind")
_WHOLE = {
    "no column": lambda df, name: df.drop(columns=name),
    "a column twice": lambda df, name: pd.concat([df, df[[name]]], axis=1),
    "not in order": lambda df, name: df.iloc[::-1],
    "a row twice": lambda df, name: df.iloc[[0, *range(len(df))]],
    "too short": lambda df, name: df.iloc[-2:],
    "no row": lambda df, name: df.iloc[:0],
    "nothing observed": lambda df, name: df.assign(**{name: None}),
    "dates": lambda df, name: df.assign(**{name: pd.Timestamp("2024-01-05")}),
    "zones": lambda df, name: df.assign(ds=[f"2024-01-01T00:00+0{n % 3}:00" for n in df.index]),
    "categories": lambda df, name: df.assign(**{name: df[name].astype("category")}),
}


@st.composite
def _spoiled_table(draw, table):
    """The same, or with one cell that is odd, or odd as a whole."""
    if draw(st.booleans()):
        return table
    name = draw(st.sampled_from([name for name in _NAMES if name in table]))
    if draw(st.sampled_from([False, False, True])):
        return _WHOLE[draw(st.sampled_from(sorted(_WHOLE)))](table, name)
    column = table[name].astype(object)
    column.iat[draw(st.integers(0, len(table) - 1))] = draw(st.sampled_from(_ODD_CELLS))
    return table.assign(**{name: column.infer_objects() if draw(st.booleans()) else column})


@settings(max_examples=40, derandomize=True)
@given(st.data())
def test_whatever_is_given_trains_or_is_refused_by_name(data):
    days = pd.date_range("2024-01-01", periods=12)
    days = data.draw(st.sampled_from([days, days.tz_localize("Asia/Tokyo"), days.astype(str)]))
    days = data.draw(st.sampled_from([days, pd.Index(range(12))]))
    good = pd.DataFrame({"ds": days, "y": np.arange(12) % 3 + 1.0, "count": np.arange(12) % 4})
    good = pd.concat([good.assign(unique_id=name, kind=name) for name in "ab"], ignore_index=True)
    future = good.groupby("unique_id").tail(2)
    options = data.draw(
        st.sampled_from(
            [
                {"validation_fraction": 0.2, "transform": "log"},
                {"validation_fraction": 0, "output": "negative_binomial", "past": "count"},
                {"validation_fraction": 0, "series_scaling": "none", "future": "count"},
                {"validation_fraction": 0, "strategy": "recursive", "paths": 4, "future": "count"},
            ]
        )
    )
    kinds = data.draw(st.sampled_from([{}, {"static": "kind", "categorical": "kind"}]))
    sizes = {"horizon": 2, "window": 4, "patch": 2, "layers": [2], "epochs": 1}
    model = cw.Forecaster(**sizes, backend="reference", **options, **kinds)
    known = data.draw(_spoiled_table(good.drop(index=future.index).reset_index(drop=True)))
    try:
        model.fit(known)
    except CellwrightError as error:
        assert str(error)  # noqa: PT017 any of ours will do
        return
    other = data.draw(_spoiled_table(good))
    asked = (
        lambda: model.predict(future=data.draw(_spoiled_table(future))),
        lambda: model.predict(known, future=future),
        lambda: model.backtest(other, windows=1, refit=False),
    )
    for ask in asked:
        try:
            assert np.isfinite(ask().filter(like="yhat")).all(axis=None)
        except CellwrightError as error:
            assert str(error)  # noqa: PT017
    try:  # a MASE is NaN where the naive forecast makes no error
        assert not np.isinf(model.score(other))
    except CellwrightError as error:
        assert str(error)  # noqa: PT017
