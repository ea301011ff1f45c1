"""Windows of series, each scaled by itself, with what lies behind it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from cellwright.data.long_form import LongForm
from cellwright.jobs.forecast.columns import Encoded

__all__ = ["Geometry", "Prepared", "WindowBatch", "Windows", "filled", "make_batch", "scale_of"]

Floats = npt.NDArray[np.float64]
_FLOOR = 1e-3
_TINY = 1e-12


@dataclass(frozen=True)
class Geometry:
    """Steps read, steps ahead, steps of a season, and how a window is scaled."""

    window: int
    horizon: int
    season: int
    scaling: str


@dataclass(frozen=True)
class Prepared:
    """Series as numbers, one behind the other.

    Attributes
    ----------
    values
        Values, gaps filled from the season before, NaN before the first one, (row,).
    observed
        Where there was a value, (row,).
    encoded
        Further columns.
    offsets
        Where each series begins, and where the last ends.
    """

    values: Floats
    observed: npt.NDArray[np.bool_]
    encoded: Encoded
    offsets: npt.NDArray[np.int64]


@dataclass(frozen=True)
class WindowBatch:
    """Some windows, and what lies behind them.

    Attributes
    ----------
    values, observed, features, ahead, static, categories
        What the network reads.
    level, spread
        By what each window was scaled, (batch, 1).
    targets, counted
        Scaled values ahead, and which of them are there, (batch, horizon).
    rows
        Which windows these are.
    """

    values: Tensor
    observed: Tensor
    features: Tensor
    ahead: Tensor
    static: Tensor
    categories: Tensor
    level: Tensor
    spread: Tensor
    targets: Tensor
    counted: Tensor
    rows: npt.NDArray[np.int64]

    @property
    def answers(self) -> int:
        """How many values ahead are there."""
        return int(self.counted.sum())

    def inputs(self) -> dict[str, Tensor]:
        """What a `WindowNetwork` reads, by name."""
        names = ("values", "observed", "features", "ahead", "static", "categories")
        return {name: getattr(self, name) for name in names}


def filled(long: LongForm, season: int) -> Floats:
    """Values with each gap filled from a season before, or from the step before."""
    values = long.y.copy()
    for series in range(len(long)):
        rows = long.rows_of(series)
        part = values[rows]
        for at in np.flatnonzero(np.isnan(part)):
            if at >= season and not np.isnan(part[at - season]):
                part[at] = part[at - season]
            elif at:
                part[at] = part[at - 1]
    return np.asarray(values)


@np.errstate(over="ignore", invalid="ignore")  # a forecast that is not finite is refused
def scale_of(
    values: Floats, observed: npt.NDArray[np.bool_], season: int, scaling: str
) -> tuple[Floats, Floats]:
    r"""Level and spread of each window, each (batch, 1).

    The level $\ell$ is the mean of the last season. The spread is the mean of
    $|x_t - x_{t-m}|$ ("seasonal"), the standard deviation ("standard") or $|\ell|$ ("level"),
    in each case $10^{-3}|\ell|$ at least, so that a window in which nothing happens is not
    blown up.

    Parameters
    ----------
    values, observed
        Windows, and where they were observed, (batch, window).
    season
        Steps of a season, $m$.
    scaling
        ``"seasonal"``, ``"standard"``, ``"level"`` or ``"none"``.
    """
    if scaling == "none":
        return np.zeros((len(values), 1)), np.ones((len(values), 1))
    season = min(season, values.shape[1])
    clean = np.where(observed, values, 0.0)
    count = observed.sum(1, keepdims=True)
    mean = clean.sum(1, keepdims=True) / np.maximum(count, 1)
    late = observed[:, -season:].sum(1, keepdims=True)
    level = np.where(late > 0, clean[:, -season:].sum(1, keepdims=True) / np.maximum(late, 1), mean)
    deviation = np.where(observed, values - mean, 0.0)
    spread = np.sqrt((deviation**2).sum(1, keepdims=True) / np.maximum(count, 1))
    if scaling == "level":
        spread = np.abs(level)
    elif scaling == "seasonal" and season < values.shape[1]:
        both = observed[:, season:] & observed[:, :-season]
        change = np.where(both, np.abs(clean[:, season:] - clean[:, :-season]), 0.0)
        pairs = both.sum(1, keepdims=True)
        spread = np.where(pairs > 0, change.sum(1, keepdims=True) / np.maximum(pairs, 1), spread)
    spread = spread + _FLOOR * np.abs(level)
    return level, np.where(spread > _TINY, spread, 1.0)


@np.errstate(over="ignore", invalid="ignore")  # a forecast that is not finite is refused
def make_batch(
    geometry: Geometry,
    values: Floats,
    observed: npt.NDArray[np.bool_],
    columns: dict[str, npt.NDArray[Any]],
    rows: npt.NDArray[np.int64],
    targets: Floats | None = None,
) -> WindowBatch:
    """Scale windows, and make tensors of them.

    Parameters
    ----------
    geometry
        How they are cut and scaled.
    values, observed
        (batch, window); NaN before a series begins.
    columns
        ``features, ahead, static, categories`` as a `WindowBatch` has them.
    rows
        Which windows these are.
    targets
        What lies behind them, (batch, horizon), NaN where it is not known.
    """
    there = ~np.isnan(values)
    level, spread = scale_of(
        np.where(there, values, 0.0), observed, geometry.season, geometry.scaling
    )
    scaled = np.where(there, (np.where(there, values, 0.0) - level) / spread, 0.0)
    if targets is None:
        targets = np.full((len(values), geometry.horizon), np.nan)
    counted = ~np.isnan(targets)
    wanted = np.where(counted, (np.where(counted, targets, 0.0) - level) / spread, 0.0)
    relative = np.log(spread / np.maximum(np.abs(level), _TINY)).clip(-10, 10)
    size = np.log10(np.maximum(np.abs(level), _TINY)).clip(-10, 10) / 3
    static = np.concatenate([columns["static"], relative, size], 1)
    return WindowBatch(
        values=torch.from_numpy(scaled.astype(np.float32)),
        observed=torch.from_numpy(observed.astype(np.float32)),
        features=torch.from_numpy(columns["features"] * there[:, :, None]),
        ahead=torch.from_numpy(columns["ahead"]),
        static=torch.from_numpy(static.astype(np.float32)),
        categories=torch.from_numpy(columns["categories"]),
        level=torch.from_numpy(level),
        spread=torch.from_numpy(spread),
        targets=torch.from_numpy(wanted.astype(np.float32)),
        counted=torch.from_numpy(counted),
        rows=rows,
    )


@dataclass(frozen=True)
class Windows:
    """Windows of series that a training learns from, or that are forecast.

    Attributes
    ----------
    prepared
        The series.
    geometry
        How windows are cut and scaled.
    series, ends
        Of each window its series, and the step at which it ends, (window,); in order.
    drawn
        How many windows of each series an epoch draws; None for all.
    seed
        Of what is drawn.
    """

    prepared: Prepared
    geometry: Geometry
    series: npt.NDArray[np.int64]
    ends: npt.NDArray[np.int64]
    drawn: int | None = None
    seed: int = 0

    def __len__(self) -> int:
        if self.drawn is None:
            return len(self.series)
        return self.drawn * len(np.unique(self.series))

    def in_epoch(self, number: int) -> Windows:
        """All windows, or those drawn for that epoch: the same for the same number."""
        if self.drawn is None:
            return self
        draw = np.random.default_rng(np.random.SeedSequence([self.seed, number, self.drawn]))
        _, first, count = np.unique(self.series, return_index=True, return_counts=True)
        place = np.floor(draw.random((len(first), self.drawn)) * count[:, None]).astype(np.int64)
        return self.take((first[:, None] + place).ravel())

    def take(self, rows: npt.NDArray[np.int64]) -> Windows:
        """These windows."""
        return replace(self, series=self.series[rows], ends=self.ends[rows], drawn=None)

    def batches(
        self, size: int, order: npt.NDArray[np.int64] | None = None
    ) -> Iterator[WindowBatch]:
        """Batches of at most `size` windows."""
        order = np.arange(len(self.series)) if order is None else order
        for start in range(0, len(order), size):
            yield self._batch(order[start : start + size])

    def raw(
        self, rows: npt.NDArray[np.int64], steps: int
    ) -> tuple[Floats, npt.NDArray[np.bool_], dict[str, npt.NDArray[Any]]]:
        """Values, whether they were observed, and columns, of windows and `steps` behind."""
        window, series = self.geometry.window, self.series[rows]
        begin = self.prepared.offsets[series]
        at = (begin + self.ends[rows])[:, None] + np.arange(-window, steps)
        before, at = at < begin[:, None], np.maximum(at, begin[:, None])
        encoded = self.prepared.encoded
        return (
            np.where(before, np.nan, self.prepared.values[at]),
            self.prepared.observed[at] & ~before,
            {
                "features": encoded.features[at],
                "known": encoded.known[at[:, window:]],
                "static": encoded.static[series],
                "categories": encoded.categories[series],
            },
        )

    def _batch(self, rows: npt.NDArray[np.int64]) -> WindowBatch:
        window, horizon = self.geometry.window, self.geometry.horizon
        values, observed, found = self.raw(rows, horizon)
        columns = {**found, "features": found["features"][:, :window], "ahead": found["known"]}
        targets = np.where(observed[:, window:], values[:, window:], np.nan)
        return make_batch(
            self.geometry, values[:, :window], observed[:, :window], columns, rows, targets
        )
