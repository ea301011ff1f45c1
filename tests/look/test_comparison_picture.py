"""The picture of a comparison: what is drawn, not how it looks."""

import math
from dataclasses import dataclass

import numpy as np
import pytest

from cellwright.look.comparison_picture import Series, draw_comparison


@dataclass
class Interval:
    mean: float
    low: float
    high: float


def series(label, *values, curves=None):
    mean = float(np.mean(values))
    interval = Interval(mean, mean - 1, mean + 1) if len(values) > 1 else Interval(mean, *NONE)
    return Series(
        label, values, interval, curves or [[(10, value), (20, value)] for value in values]
    )


NONE = (math.nan, math.nan)


def draw(*every):
    return draw_comparison(every, title="job", measure="accuracy", curve_name="validation loss")


def test_every_seed_is_a_dot_and_every_mean_has_its_interval():
    left, _ = draw(series("a", 0.5, 0.75), series("b", 0.25, 0.5)).axes
    assert [text.get_text() for text in left.get_yticklabels()] == ["a", "b"]
    dots, interval, mean = left.lines[:3]
    assert list(dots.get_xdata()) == [0.5, 0.75]
    assert list(interval.get_xdata()) == [-0.375, 1.625]
    assert list(mean.get_xdata()) == [0.625]
    assert len(left.lines) == 6


def test_one_seed_has_no_interval_and_no_band():
    left, right = draw(series("a", 0.5)).axes
    assert len(left.lines) == 2
    assert not right.collections
    assert left.get_title() == "one seed"


def test_curves_are_means_with_a_band_and_who_stopped_early_keeps_its_value():
    curves = [[(10, 0.5), (20, 0.25), (30, 0.25)], [(10, 1.0), (20, 0.75)]]
    _, right = draw(series("a", 0.2, 0.3, curves=curves)).axes
    assert list(right.lines[0].get_xdata()) == [10, 20, 30]
    assert list(right.lines[0].get_ydata()) == [0.75, 0.5, 0.5]
    (band,) = right.collections
    assert band.get_datalim(right.transData).y0 == pytest.approx(0.25)
    assert band.get_datalim(right.transData).y1 == pytest.approx(1.0)


@pytest.mark.parametrize(("last", "scale"), [(0.5, "linear"), (0.001, "log"), (0.0, "linear")])
def test_a_loss_that_falls_far_has_a_logarithmic_scale(last, scale):
    _, right = draw(series("a", 0.2, curves=[[(10, 1.0), (20, last)]])).axes
    assert right.get_yscale() == scale


def test_many_cells_are_told_apart():
    figure = draw(*(series(f"cell {number}", 0.1, 0.2) for number in range(24)))
    right = figure.axes[1]
    assert len({(line.get_color(), line.get_linestyle()) for line in right.lines}) == 24
    listed = [text.get_text() for text in figure.legends[0].get_texts()]
    assert listed == [f"cell {number}" for number in range(24)]


def test_long_labels_are_wrapped_and_cover_nothing():
    label = "my_cell:" + ":".join(f"option_{number}=[1,2,4,8,16]" for number in range(8))
    figure = draw(series(label, 0.1, 0.2), series("lstm", 0.2, 0.3))
    figure.draw_without_rendering()
    left, right = figure.axes
    shown, other = (text.get_text() for text in left.get_yticklabels())
    assert len(shown.splitlines()) == 3
    assert max(map(len, shown.splitlines())) <= 30
    assert shown.endswith("…")
    assert other == "lstm"
    whole = figure.bbox
    for axes in (left, right):
        inside = axes.get_tightbbox()
        assert inside.x0 >= whole.x0 - 1
        assert inside.x1 <= whole.x1 + 1
        assert axes.bbox.width > whole.width / 5
    legend = figure.legends[0].get_window_extent()
    assert right.bbox.x1 <= legend.x0 < legend.x1 <= whole.x1 + 1
