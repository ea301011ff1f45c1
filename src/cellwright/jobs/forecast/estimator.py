"""Many to many, delayed: how each of many series goes on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from sklearn.utils.validation import check_is_fitted
from torch import Tensor, nn
from typing_extensions import Unpack

from cellwright.data.long_form import LongForm, as_long_form
from cellwright.errors import DataError, ModelFileError, SettingError
from cellwright.jobs.estimator import Estimator, Hooks, digest
from cellwright.jobs.forecast.backtest import backtest
from cellwright.jobs.forecast.calibration import margins_of, with_margins
from cellwright.jobs.forecast.columns import chosen_columns
from cellwright.jobs.forecast.dividing import (
    calibrating,
    check_lengths,
    divided,
    learned_part,
    windows_ahead,
)
from cellwright.jobs.forecast.measures import measure
from cellwright.jobs.forecast.objective import ForecastLoss
from cellwright.jobs.forecast.outputs import interval_probabilities, output_of
from cellwright.jobs.forecast.preparing import (
    ForecasterFacts,
    balance_of,
    geometry_of,
    learn_facts,
    prepare,
)
from cellwright.jobs.forecast.rolling import rolled_paths
from cellwright.jobs.forecast.tables import forecast_table
from cellwright.jobs.forecast.windows import Floats, WindowBatch, Windows
from cellwright.jobs.options.base import NETWORK
from cellwright.jobs.options.forecast import ForecasterOptions
from cellwright.models.forecaster import ForecasterNetwork

__all__ = ["Forecaster"]


@dataclass(kw_only=True, eq=False, repr=False)
class Forecaster(ForecasterOptions, Estimator):
    """Forecast many series with one network, with scikit-learn's habits.

    Series come in long form, a table of pandas or polars with the columns ``unique_id``, ``ds``
    (dates, or whole numbers) and ``y``, and any number of further columns that the options
    name; rows of a series in the order of time. A missing value is NaN or a row that is left
    out; series may start and end when they will. Every option is a keyword argument.

    Attributes
    ----------
    series_
        The series it learned from, a `LongForm`; not kept in a file.
    network_
        The trained `ForecasterNetwork`.
    history_
        A row of measures for each epoch.

    Examples
    --------
    >>> import cellwright as cw, numpy as np, pandas as pd
    >>> days = pd.date_range("2024-01-01", periods=120)
    >>> week = np.tile([3.0, 2, 2, 3, 5, 9, 7], 18)[:120]
    >>> df = pd.DataFrame({"unique_id": "shop", "ds": days, "y": week + np.arange(120) / 20})
    >>> model = cw.Forecaster(horizon=7, cell="gru", layers=[8], epochs=2, levels=80).fit(df)
    >>> list(model.predict())
    ['unique_id', 'ds', 'yhat', 'yhat-lo-80', 'yhat-hi-80']
    """

    job = "forecast"
    facts_type = ForecasterFacts

    def fit(self, df: Any, y: None = None, **hooks: Unpack[Hooks]) -> Forecaster:
        """Learn from series.

        Parameters
        ----------
        df
            Series in long form, as the class describes it.
        y
            Not used: scikit-learn's habit.
        **hooks
            Checkpoints, resuming and reports, see `Hooks`.

        Raises
        ------
        DataError, SettingError, TrainingError
            Data or options cannot be used; the message says which and why.
        """
        options = self.options()
        output, long = output_of(options), self._series_of(df, options["frequency"])
        learned, held = learned_part(long, options)
        facts = learn_facts(learned, options)
        prepared, geometry = prepare(long, facts, options), geometry_of(facts, options)
        known = prepare(learned, facts, options) if held.any() else prepared
        balance = balance_of(known, geometry, options["transform"])
        facts = facts.model_copy(update={"balance": balance})
        self.knows(facts)
        self.series_ = long  # of these facts, also where the training is interrupted
        training, validation = divided(prepared, geometry, held, options)
        calibration = None
        if options["conformal"]:
            assert validation is not None
            calibration = calibrating(validation, options)
        self.network_ = self.new_network(options, facts)
        self.learn(
            ForecastLoss(output, options, balance),
            training,
            validation,
            identity=digest(options, long.fingerprint),
            hooks=hooks,
        )
        if calibration is not None:
            margins = self._margins(calibration)
            self.knows(facts.model_copy(update={"margins": margins}))
        return self

    def predict(self, df: Any = None, horizon: int | None = None, *, future: Any = None) -> Any:
        """How each series goes on.

        Parameters
        ----------
        df
            Series up to now, with all that has been observed since the training; None for
            those that were learned from.
        horizon
            Steps ahead, at most those that were learned unless the strategy is recursive; None
            for these.
        future
            A table with ``unique_id``, ``ds`` and the columns that are known ahead, of these
            steps.

        Returns
        -------
        table
            ``unique_id, ds, yhat`` (the median), and for each level such as 80 the ends
            ``yhat-lo-80`` and ``yhat-hi-80`` of an interval. Of polars if `df` is.
        """
        check_is_fitted(self, "network_")
        options = self.options()
        wanted = self._horizon(horizon, options)
        if df is None and not hasattr(self, "series_"):
            raise DataError("a model read from a file keeps no series; give df")
        long = self.series_ if df is None else self.as_series(df)
        windows = windows_ahead(long, wanted, self.facts_, options, future)
        found = self._quantiles(windows, wanted)
        endless = ~np.isfinite(found).all((1, 2))
        if endless.any():
            raise DataError(
                f"the forecast of the series {long.ids[int(np.argmax(endless))]!r} is no finite "
                f"number; its y, or a column of it, is too large for what was learned"
            )
        return forecast_table(long, found, options["levels"], like=df)

    def backtest(
        self,
        df: Any,
        horizon: int | None = None,
        windows: int = 3,
        step: int | None = None,
        *,
        refit: bool = True,
    ) -> Any:
        """Forecasts from several points of the past, beside what came.

        Parameters
        ----------
        df
            Series in long form.
        horizon
            Steps ahead; None for those of the options.
        windows
            From how many points: the last is `horizon` steps before the end of each series.
        step
            Steps between two of them; None for `horizon`.
        refit
            Learn anew before each of them, from what was known by then; else once, before the
            first. This model itself is not changed.

        Returns
        -------
        table
            ``unique_id, ds, cutoff, y`` and the columns of `predict`.
        """
        return backtest(self, df, horizon, windows, step, refit=refit)

    def measures(self, df: Any, horizon: int | None = None) -> dict[str, float]:
        """What forecasts of the last steps of each series, made without them, are worth.

        Returns
        -------
        dict
            ``mase, smape, owa, crps, mape`` and the coverage of each interval; see
            `cellwright.jobs.forecast.measures.measure`.
        """
        check_is_fitted(self, "network_")
        options = self.options()
        wanted = self._horizon(horizon, options)
        long = self.as_series(df)
        check_lengths(long, wanted, np.zeros(len(long), np.int64))
        known, frame = long.without_last(wanted), long.frame()
        forecasts = self.predict(known, wanted, future=frame)
        season = self.facts_.season
        return measure(forecasts, long.last(wanted).frame(), known, season, options["levels"])

    def score(self, df: Any, y: None = None, horizon: int | None = None) -> float:
        """Minus the MASE of forecasts of the last steps of each series: greater is better."""
        return -self.measures(df, horizon)["mase"]

    def reading_options(self) -> dict[str, Any]:
        """The options, and how far apart times are where the options leave it to the data."""
        check_is_fitted(self, "network_")
        return self.options() | {"frequency": self.facts_.frequency}

    def as_series(self, df: Any) -> LongForm:
        """A table in long form, checked, with the columns that the options name."""
        fitted = hasattr(self, "facts_")
        frequency = self.facts_.frequency if fitted else self.options()["frequency"]
        long = self._series_of(df, frequency)
        if fitted and isinstance(frequency, int) != isinstance(long.frequency, int):
            kinds = {True: "whole numbers", False: "dates"}
            raise DataError(
                f"ds holds {kinds[isinstance(long.frequency, int)]}, and it learned from series "
                f"whose ds holds {kinds[isinstance(frequency, int)]}"
            )
        if fitted and frequency != long.frequency:
            raise DataError(
                f"ds goes by steps of {long.frequency!r}, and it learned from series that go by "
                f"{frequency!r}"
            )
        return long

    def _series_of(self, df: Any, frequency: str | int | None) -> LongForm:
        if isinstance(df, LongForm):
            return df
        chosen = chosen_columns(self.options())
        numbers = [name for name, (_, categorical) in chosen.items() if not categorical]
        return as_long_form(df, columns=list(chosen), numbers=numbers, frequency=frequency)

    @staticmethod
    def build_network(options: Mapping[str, Any], facts: ForecasterFacts) -> ForecasterNetwork:
        """The untrained network that validated options and facts describe."""
        names = (*NETWORK, "decoder", "autoregression", "naive_seasons")
        output = output_of(options)
        static = [column for column in facts.columns if column.role == "static"]
        known = 2 * len(facts.calendar)
        known += sum(column.width for column in facts.columns if column.role == "future")
        past = sum(column.width for column in facts.columns if column.role == "past")
        return ForecasterNetwork(
            options["members"],
            facts.window,
            geometry_of(facts, options).horizon,
            facts.season,
            patch=facts.patch,
            outputs=len(output.start),
            start=output.start,
            anchors=output.anchors,
            known=known,
            features=known + past,
            static=2 + sum(column.categories is None for column in static),
            categories=[len(c.categories) for c in static if c.categories is not None],
            **{name: options[name] for name in names},
        )

    @classmethod
    def check_facts(
        cls, options: Mapping[str, Any], facts: ForecasterFacts, tensors: Mapping[str, Tensor]
    ) -> None:
        """Sizes must be those of the tensors, and each interval must have its margins."""
        weights = sum(tensor.numel() for tensor in tensors.values())
        horizon = geometry_of(facts, options).horizon
        width = facts.window * horizon if options["autoregression"] else facts.patch + horizon
        if width > weights or facts.window % facts.patch:
            raise ModelFileError(
                f"a window of {facts.window} steps in patches of {facts.patch}, and {horizon} "
                f"ahead, cannot be made of {weights} weights"
            )
        margins, expected = facts.margins, [options["horizon"]] * len(options["levels"])
        if margins is not None and [len(each) for each in margins] != expected:
            raise ModelFileError("the margins of its intervals do not go with levels and horizon")

    def _horizon(self, horizon: int | None, options: Mapping[str, Any]) -> int:
        learned = int(options["horizon"])
        if horizon is None:
            return learned
        if isinstance(horizon, bool) or not isinstance(horizon, (int, np.integer)) or horizon < 1:
            raise SettingError(f"horizon={horizon!r}: must be a whole number from 1")
        if horizon > learned and (options["strategy"] == "direct" or options["conformal"]):
            raise SettingError(
                f"horizon={horizon}: it learned to see {learned} steps ahead; fit it with "
                f"horizon={horizon}, or with strategy='recursive' and without conformal"
            )
        return int(horizon)

    @np.errstate(over="ignore", invalid="ignore")  # `predict` refuses it
    def _quantiles(self, windows: Windows, horizon: int) -> Floats:
        """Quantiles behind each window, (window, horizon, n)."""
        found, spread = self._raw_quantiles(windows, horizon)
        found = found[:, :horizon]
        if self.facts_.margins is not None:
            found = with_margins(found, spread, self.facts_.margins)
        return np.asarray(np.exp(found) if self.options()["transform"] == "log" else found)

    def _raw_quantiles(self, windows: Windows, horizon: int) -> tuple[Floats, Floats]:
        """Quantiles before margins and the transform's inverse, and spreads (window, 1)."""
        options = self.options()
        probabilities, output = interval_probabilities(options["levels"]), output_of(options)

        def told(batch: WindowBatch, at: Any) -> Floats:
            numbers = self.answers([batch], _numbers)[0]
            level, spread = batch.level.numpy(), batch.spread.numpy()
            each = [output.quantiles(one, level, spread, at) for one in numbers]
            return np.asarray(np.mean(each, 0))

        batches = list(windows.batches(self.prediction_batch))
        spread = np.concatenate([batch.spread.numpy() for batch in batches])
        if options["strategy"] == "direct":
            direct = np.concatenate([told(batch, probabilities) for batch in batches])
            return direct, spread
        generator = np.random.default_rng(options["random_state"])
        paths = rolled_paths(
            windows,
            horizon,
            options["paths"],
            lambda batch, chances: told(batch, chances[..., None])[..., 0],
            generator,
        )
        return np.moveaxis(np.quantile(paths, probabilities, axis=1), 0, -1), spread

    def _margins(self, calibration: Windows) -> list[list[float]]:
        """Margins that windows which were not learned from call for."""
        options, window = self.options(), self.facts_.window
        found, spread = self._raw_quantiles(calibration, options["horizon"])
        values, _, _ = calibration.raw(np.arange(len(calibration)), options["horizon"])
        return margins_of(found, values[:, window:], spread, options["levels"])


def _numbers(network: nn.Module, batch: WindowBatch) -> Floats:
    numbers: Tensor = network(batch.inputs())
    return np.asarray(numbers.double().cpu().numpy())
