"""Forecasts a patch at a time, each fed back as if it had been observed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from cellwright.jobs.forecast.windows import Floats, Windows, make_batch

__all__ = ["Draw", "rolled_paths"]

Draw = Callable[[Any, Floats], Floats]
"""A `WindowBatch` and chances in (0, 1), (batch, step) -> values with these chances."""


def rolled_paths(
    windows: Windows,
    horizon: int,
    paths: int,
    draw: Draw,
    generator: np.random.Generator,
    at_once: int = 16,
) -> Floats:
    """Futures of each window, drawn step by step, (window, path, horizon).

    All windows get the same chances, so that a future does not depend on which others are drawn
    beside it. At each step these lie evenly between 0 and 1, one in each of as many parts as
    there are futures (Latin hypercube sampling): what they have in common leans to no side.

    Parameters
    ----------
    windows
        What is forecast; their geometry's horizon is the step.
    horizon
        Steps ahead.
    paths
        Futures of each.
    draw
        The network and its distribution.
    generator
        Of the chances.
    at_once
        Windows in a batch.

    References
    ----------
    McKay, Beckman and Conover, "A comparison of three methods for selecting values of input
    variables in the analysis of output from a computer code", Technometrics (1979).
    """
    step, parts = windows.geometry.horizon, []
    # Step by step, so that a longer horizon begins as a shorter one does.
    chances = np.stack(
        [
            (generator.permutation(paths) + generator.random(paths)) / paths
            for _ in range(-(-horizon // step) * step)
        ],
        axis=1,
    )
    for start in range(0, len(windows.series), at_once):
        rows = np.arange(start, min(start + at_once, len(windows.series)))
        parts.append(_some(windows, rows, horizon, chances, draw))
    return np.concatenate(parts)


def _some(
    windows: Windows,
    rows: npt.NDArray[np.int64],
    horizon: int,
    chances: Floats,
    draw: Draw,
) -> Floats:
    window, step, paths = windows.geometry.window, windows.geometry.horizon, len(chances)
    values, observed, found = windows.raw(rows, horizon)
    values, observed = np.repeat(values, paths, 0), np.repeat(observed, paths, 0)
    found = {name: np.repeat(array, paths, 0) for name, array in found.items()}
    many = np.repeat(rows, paths)
    for begin in range(0, horizon, step):
        behind = found["known"][:, begin : begin + step]
        if behind.shape[1] < step:  # the last patch may reach beyond what is asked
            behind = np.pad(behind, ((0, 0), (0, step - behind.shape[1]), (0, 0)), mode="edge")
        columns = {
            **found,
            "features": found["features"][:, begin : begin + window],
            "ahead": behind,
        }
        place = slice(begin, begin + window)
        batch = make_batch(windows.geometry, values[:, place], observed[:, place], columns, many)
        new = draw(batch, np.tile(chances[:, begin : begin + step], (len(rows), 1)))
        here = slice(begin + window, min(begin + window + step, window + horizon))
        values[:, here], observed[:, here] = new[:, : here.stop - here.start], True
    return values[:, window:].reshape(len(rows), paths, horizon)
