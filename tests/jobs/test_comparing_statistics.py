"""Intervals and Holm's steps, against definitions that are written out here."""

import math
from itertools import combinations

import numpy as np
import pytest
from scipy import stats

from cellwright.jobs.comparing.statistics import differences_to_best, mean_interval


def test_the_interval_of_a_mean_is_students():
    values = [0.91, 0.94, 0.89, 0.95, 0.92]
    found = mean_interval(values)
    half = stats.t.ppf(0.975, 4) * np.std(values, ddof=1) / np.sqrt(5)
    assert found.mean == pytest.approx(0.922)
    assert (found.high - found.low) / 2 == pytest.approx(half)


def test_the_interval_holds_the_truth_as_often_as_it_says():
    rng = np.random.default_rng(0)
    draws = [mean_interval(values) for values in rng.normal(3, 2, (1500, 3))]
    assert np.mean([one.low <= 3 <= one.high for one in draws]) == pytest.approx(0.95, abs=0.02)


def test_one_value_says_nothing_of_noise():
    found = mean_interval([0.5])
    assert found.mean == 0.5
    assert math.isnan(found.low)
    assert math.isnan(found.high)
    _, others = differences_to_best({"a": [0.5], "b": [0.9, 0.8]}, lower_is_better=False)
    assert not others["a"].known
    assert not others["a"].within_noise


def welch_p(a, b):
    va, vb = np.var(a, ddof=1) / len(a), np.var(b, ddof=1) / len(b)
    freedom = (va + vb) ** 2 / (va**2 / (len(a) - 1) + vb**2 / (len(b) - 1))
    t = (np.mean(a) - np.mean(b)) / np.sqrt(va + vb)
    return 2 * stats.t.sf(abs(t), freedom)


def test_holms_steps_as_the_paper_has_them():
    rng = np.random.default_rng(2)
    means = {"best": 1.0, "far": 0.2, "near": 0.9, "close": 0.85, "same": 1.0}
    values = {name: list(mean + 0.05 * rng.normal(size=5)) for name, mean in means.items()}
    best, found = differences_to_best(values, lower_is_better=False)
    raw = {pair: welch_p(*(values[name] for name in pair)) for pair in combinations(values, 2)}
    assert len(raw) == 10
    greatest, rejecting = 0.0, True
    for step, pair in enumerate(sorted(raw, key=raw.get)):
        left = len(raw) - step
        greatest = max(greatest, min(1, left * raw[pair]))
        rejecting = rejecting and raw[pair] <= 0.05 / left
        if best not in pair:
            continue
        one = found[pair[0] if pair[1] == best else pair[1]]
        assert one.p == pytest.approx(greatest)
        assert one.within_noise is not rejecting
        assert (one.p > 0.05) is one.within_noise
        assert one.low < one.mean < one.high
    assert not found["far"].within_noise
    assert any(one.within_noise for one in found.values())


def test_two_cells_are_compared_by_welchs_test_as_it_stands():
    a, b = [0.91, 0.94, 0.89, 0.95], [0.84, 0.93, 0.80]
    _, found = differences_to_best({"a": a, "b": b}, lower_is_better=False)
    assert found["b"].p == pytest.approx(welch_p(a, b))


def test_equal_cells_are_rarely_called_different():
    """Of ten equal cells the one that looks worst is still within noise, nearly always."""
    rng = np.random.default_rng(1)
    wrong = 0
    for _ in range(150):
        values = dict(zip("abcdefghij", rng.normal(size=(10, 5)).tolist(), strict=True))
        _, found = differences_to_best(values, lower_is_better=True)
        wrong += any(not one.within_noise for one in found.values())
    assert wrong / 150 < 0.05  # 0.10 where the nine pairs with the best alone count


@pytest.mark.parametrize("lower", [False, True])
def test_the_best_is_the_best_of_the_means(lower):
    values = {"a": [1.0, 2.0, 3.0], "b": [4.0, 5.0, 6.1]}
    best, found = differences_to_best(values, lower_is_better=lower)
    assert best == ("a" if lower else "b")
    (other,) = found.values()
    assert other.mean == pytest.approx(3.0333 if lower else -3.0333, abs=0.001)


def test_values_that_do_not_vary_give_no_certainty():
    found = mean_interval([0.1, 0.1, 0.1])
    assert found.mean == pytest.approx(0.1)
    assert math.isnan(found.low)
    assert math.isnan(found.high)
    values = {"a": [0.90, 0.90], "b": [0.90, 0.90], "c": [0.91, 0.91]}
    best, others = differences_to_best(values, lower_is_better=True)
    assert best == "a"
    assert others["b"].within_noise
    assert not others["c"].known
    assert math.isnan(others["c"].p)
    assert others["c"].mean == pytest.approx(0.01)


def test_only_one_of_them_has_no_spread():
    constant, varied = [0.45, 0.45, 0.45], [0.5, 0.6, 0.7]
    _, found = differences_to_best({"a": constant, "b": varied}, lower_is_better=False)
    half = stats.t.ppf(0.975, 2) * np.std(varied, ddof=1) / np.sqrt(3)
    assert found["a"].high - found["a"].low == pytest.approx(2 * half)


def test_holm_stops_at_the_first_that_is_within_noise():
    best = [1.0, 1.1, 1.2]
    shifts = {"a": 0.256, "b": 0.30}
    others = {name: [value - shift for value in best] for name, shift in shifts.items()}
    assert 0.05 / 3 < welch_p(others["b"], best) < welch_p(others["a"], best) < 0.05
    _, found = differences_to_best({"best": best, **others}, lower_is_better=False)
    assert found["a"].within_noise
    assert found["b"].within_noise
    _, alone = differences_to_best({"best": best, "a": others["a"]}, lower_is_better=False)
    assert not alone["a"].within_noise
