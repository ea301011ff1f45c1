import numpy as np
import pandas as pd
from matplotlib.backends.backend_agg import FigureCanvasAgg

from cellwright.look.forecast_picture import draw_forecasts


def tables(count):
    known = [
        pd.DataFrame({"unique_id": f"s{n}", "ds": np.arange(20), "y": np.arange(20.0) + n})
        for n in range(count)
    ]
    ahead = [
        pd.DataFrame(
            {"unique_id": f"s{n}", "ds": [20, 21], "yhat": [n, n + 1.0]}
            | {
                f"yhat-{end}-{level}": [n + sign * level / 10] * 2
                for end, sign in (("lo", -1), ("hi", 1))
                for level in (80, 95)
            }
        )
        for n in range(count)
    ]
    return pd.concat(known), pd.concat(ahead)


def test_a_panel_shows_what_was_known_what_was_said_and_what_came():
    known, forecasts = tables(1)
    truth = pd.DataFrame({"unique_id": "s0", "ds": [20, 21], "y": [5.0, 6.0]})
    figure = draw_forecasts(known, forecasts, truth, levels=[80, 95])
    (axes,) = figure.axes
    lines = {line.get_label(): line.get_ydata() for line in axes.lines}
    np.testing.assert_array_equal(lines["forecast"], [0, 1])
    np.testing.assert_array_equal(lines["came"], [5, 6])
    assert len(lines["known"]) == 8  # four times what is forecast
    assert [band.get_label() for band in axes.collections] == ["95 %", "80 %"]
    outer, inner = (band.get_paths()[0].vertices[:, 1] for band in axes.collections)
    assert (outer.min(), outer.max(), inner.min(), inner.max()) == (-9.5, 9.5, -8, 8)


def test_of_many_series_some_are_drawn_from_the_first_to_the_last():
    known, forecasts = tables(9)
    figure = draw_forecasts(known, forecasts, most=3)
    shown = [axes for axes in figure.axes if axes.get_visible()]
    assert [axes.get_title() for axes in shown] == ["s0", "s4", "s8"]


def test_a_forecast_of_a_single_step_is_seen():
    known, forecasts = tables(1)
    drawn = []
    for yhat in (0.0, np.nan):
        one = forecasts.head(1).assign(yhat=yhat)
        truth = pd.DataFrame({"unique_id": "s0", "ds": [20], "y": [yhat]})
        figure = draw_forecasts(known, one, truth, levels=[80])
        drawn.append(pixels(figure))
    assert (drawn[0] != drawn[1]).any(-1).sum() > 10
    (band,) = figure.axes[0].collections
    assert band.get_paths()[0].vertices.tolist() == [[20, -8], [20, 8]]
    assert band.get_linewidth()[0] > 0


def pixels(figure):
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    return np.asarray(canvas.buffer_rgba()).copy()
