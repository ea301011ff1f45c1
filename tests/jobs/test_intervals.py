"""Conformal intervals: the right order statistic, and the coverage that it promises."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cellwright.errors import SettingError
from cellwright.jobs.intervals import conformal_margin, nearest_pair, pairs, thinned


@pytest.mark.parametrize(("level", "place"), [(0.5, 5), (0.8, 8), (0.9, 9), (0.85, 9)])
def test_the_margin_is_an_order_statistic(level, place):
    scores = np.arange(1.0, 10)[:, None]  # nine scores: 10 times the level, rounded up
    assert conformal_margin(scores, level, 9).tolist() == [place]


def test_too_few_scores_for_a_level_are_refused():
    with pytest.raises(SettingError, match="at least 19 samples"):
        conformal_margin(np.zeros((18, 1)), 0.95, 18)
    assert conformal_margin(np.zeros((19, 1)), 0.95, 19) == 0


@pytest.mark.parametrize("level", [0, 1, -0.1, 90, True, "0.9"])
def test_levels_are_shares(level):
    with pytest.raises(SettingError, match="level="):
        conformal_margin(np.zeros((50, 1)), level, 50)


@pytest.mark.parametrize("level", [0.5, 0.8, 0.9])
def test_intervals_hold_the_next_sample_as_often_as_they_say(level):
    draw = np.random.default_rng(0)
    held = [
        draw.exponential()
        <= conformal_margin(np.sort(draw.exponential(size=(29, 1)), 0), level, 29)
        for _ in range(4000)
    ]
    assert abs(np.mean(held) - np.ceil(30 * level) / 30) < 0.025


@settings(max_examples=30)
@given(st.integers(11, 300), st.integers(10, 50), st.floats(0.05, 0.9))
def test_thinned_scores_never_make_an_interval_narrower(samples, kept, level):
    scores = np.random.default_rng(samples).standard_normal((samples, 2))
    few = thinned(scores, kept)
    assert len(few) == min(samples, kept)
    whole = conformal_margin(np.sort(scores, 0), level, samples)
    assert (conformal_margin(few, level, samples) >= whole).all()
    assert (few[-1] == scores.max(0)).all()


def test_the_nearest_pair_of_quantiles_is_chosen():
    quantiles = (0.05, 0.25, 0.5, 0.75, 0.95)
    assert pairs(quantiles) == [(0, 4), (1, 3)]
    assert nearest_pair(quantiles, 0.95) == (0, 4)
    assert nearest_pair(quantiles, 0.6) == (1, 3)
    with pytest.raises(SettingError, match="one below and one above"):
        nearest_pair((0.5, 0.9), 0.8)
