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
    """
    parts = []
    for start in range(0, len(windows.series), at_once):
        rows = np.arange(start, min(start + at_once, len(windows.series)))
        parts.append(_some(windows, rows, horizon, paths, draw, generator))
    return np.concatenate(parts)


def _some(
    windows: Windows,
    rows: npt.NDArray[np.int64],
    horizon: int,
    paths: int,
    draw: Draw,
    generator: np.random.Generator,
) -> Floats:
    window, step = windows.geometry.window, windows.geometry.horizon
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
        new = draw(batch, generator.random((len(many), step)))
        here = slice(begin + window, min(begin + window + step, window + horizon))
        values[:, here], observed[:, here] = new[:, : here.stop - here.start], True
    return values[:, window:].reshape(len(rows), paths, horizon)
