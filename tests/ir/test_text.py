"""Equations as people write them: words for what takes several ops."""

import pytest

import cellwright as cw
from cellwright.ir.text import spell


def test_a_mean_and_a_remainder_are_words():
    @cw.cell(state="h")
    def words(x, h, t):
        """Means and remainders."""
        a = cw.mean_units(x) + h
        b = t % cw.per_unit([1, 2]) < 1
        h = cw.where(b, a, h)
        return h

    assert words.equations.splitlines() == [
        "aₜ = mean(xₜ) + hₜ₋₁",
        "bₜ = (t mod [1, 2] < 1)",
        "hₜ = (aₜ if bₜ else hₜ₋₁)",
    ]
    assert r"\operatorname{mean}\left(x_{t}\right)" in words.latex
    assert r"b_{t} &= \left(t \bmod [1, 2] < 1\right)" in words.latex
    assert r"\begin{cases} a_{t} & \text{if } b_{t} \\ h_{t-1}" in words.latex


def test_what_only_looks_like_a_remainder_is_written_out():
    @cw.cell(state="h")
    def close(x, h):
        """Not the divisor of the quotient."""
        h = h - 3.0 * cw.floor(h / 2.0) + cw.sum_units(h) / 4.0
        return h

    assert close.equations == "hₜ = hₜ₋₁ − 3 ⊙ ⌊hₜ₋₁ / 2⌋ + Σ(hₜ₋₁) / 4"


def test_a_part_with_a_name_keeps_it():
    @cw.cell(state="h")
    def named(x, h):
        """A mean whose sum has a name, a remainder whose quotient has one."""
        total = cw.sum_units(h)
        whole = cw.floor(h / 2.0)
        h = total / 3.0 + (h - 2.0 * whole)
        return h

    assert named.equations.splitlines()[-1] == "hₜ = totalₜ / 3 + hₜ₋₁ − 2 ⊙ wholeₜ"


@pytest.mark.parametrize(
    ("number", "latex"),
    [(1e-5, "10^{-5}"), (2.5e-7, r"2.5 \cdot 10^{-7}"), (-1e-6, "-10^{-6}"), (0.25, "0.25")],
)
def test_powers_of_ten(number, latex):
    @cw.cell(state="h")
    def small(x, h):
        """A small number."""
        h = cw.maximum(h, number)
        return h

    assert small.latex == rf"h_{{t}} &= \max\left(h_{{t-1}}, {latex}\right)"


def test_values_are_spelled_as_in_the_equations():
    lstm = cw.cells.lstm.graph
    assert spell(lstm)[lstm.after["c"]] == "cₜ"
    assert spell(lstm)[lstm.states[1]] == "cₜ₋₁"
