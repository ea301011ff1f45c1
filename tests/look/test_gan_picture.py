"""Made sequences beside real ones."""

import numpy as np
import pytest

from cellwright.look.gan_picture import draw_made_and_real


def test_every_feature_has_its_row():
    rng = np.random.default_rng(0)
    real = [rng.normal(size=(n, 2)) for n in range(3, 23)]
    made = rng.normal(size=(30, 9, 2))
    made[::2, 5:] = np.nan
    figure = draw_made_and_real(real, made, names=("height", "weight"))
    axes = figure.get_axes()
    assert len(axes) == 8
    assert [axes[place].get_ylabel() for place in (0, 4)] == ["height", "weight"]
    assert len(axes[0].lines) == len(axes[1].lines) == 12
    assert axes[0].lines[0].get_ydata() == pytest.approx(real[0][:, 0])
    middle = {line.get_label(): line.get_ydata() for line in axes[2].lines}
    assert middle["real"][0] == pytest.approx(np.median([value[0, 0] for value in real]))
    assert middle["made"][8] == pytest.approx(np.nanmedian(made[:, 8, 0]))


def test_of_many_features_the_first_are_drawn():
    real = np.random.default_rng(0).normal(size=(9, 4, 40))
    assert len(draw_made_and_real(real, real).get_axes()) == 4 * 6


@pytest.mark.parametrize("steps", [1, 4])
def test_odd_sequences_are_drawn_too(steps):
    figure = draw_made_and_real([np.zeros((steps, 1))] * 2, [np.zeros((steps, 1))])
    figure.canvas.draw()
    assert figure.get_axes()[0].get_ylabel() == "feature 0"
