"""Equations as people write them: words for what takes several ops."""

import pytest

import cellwright as cw
from cellwright import affine, cell
from cellwright.ir import Graph, node
from cellwright.ir.text import spell, to_text


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


def test_a_matrix_that_is_only_read_backwards_is_named_as_forwards():
    matrix = node("matrix", name="o_h", size="hidden", columns="hidden", mask=None)
    coming = node("gradient", name="h", size="hidden", origin="later")
    back = node("matmul_transposed", matrix, coming)
    assert to_text(Graph("back", (coming,), (coming,), (back,))) == "hₜ = W_ohᵀ δhₜ←"


def test_a_remainder_a_sign_and_their_neighbours_are_bracketed():
    @cell(state="h")
    def brackets(x, h, t):
        """What means something else without them."""
        a = 2 * (t % 3)
        b = -t % -3
        c = h / (h % 5)
        d = affine("e", -x, bias=None) + affine("f", -0.5, bias=None)
        h = a * (t % 1e-7 + t % 2.5e-7) + b * c + d
        return h

    assert brackets.equations.splitlines() == [
        "aₜ = 2 ⊙ (t mod 3)",
        "bₜ = (−t) mod (-3)",
        "cₜ = hₜ₋₁ / (hₜ₋₁ mod 5)",
        "dₜ = W_e0 (−xₜ) + W_f0 (-0.5)",
        "hₜ = aₜ ⊙ (t mod 1e-07 + t mod 2.5e-07) + bₜ ⊙ cₜ + dₜ",
    ]
    latex = brackets.latex.splitlines()
    assert latex[0] == r"a_{t} &= 2 \odot \left(t \bmod 3\right) \\"
    assert latex[1] == r"b_{t} &= \left(-t\right) \bmod \left(-3\right) \\"
    assert latex[3].startswith(r"d_{t} &= W_{e0}\,\left(-x_{t}\right) + W_{f0}\,\left(-0.5\right)")
    assert r"\bmod 10^{-7} + t \bmod \left(2.5 \cdot 10^{-7}\right)" in latex[4]


def test_a_draw_is_told_and_shares_its_name_with_nothing():
    @cell(state="h")
    def drawn(x, h):
        """A gate that is called what a draw is, and a draw for the whole sequence."""
        z = cw.sigmoid(affine("z", x))
        d = cw.bernoulli("z", 0.5)
        keep = cw.bernoulli("keep", 0.9, per="sequence")
        h = d * z * (keep * h)
        return h

    assert drawn.equations.splitlines() == [
        "z'ₜ = σ(W_zx xₜ + b_z)",
        "zₜ ~ Bernoulli(0.5)",
        "keepₜ ~ Bernoulli(0.9), once a sequence",
        "hₜ = zₜ ⊙ z'ₜ ⊙ keepₜ ⊙ hₜ₋₁",
        "dₜ = zₜ",
    ]
    assert drawn.latex.splitlines()[1:3] == [
        r"z_{t} &\sim \operatorname{Bernoulli}\left(0.5\right) \\",
        r"\mathit{keep}_{t} &\sim \operatorname{Bernoulli}\left(0.9\right),"
        r"\ \text{once a sequence} \\",
    ]


def test_a_name_of_the_authors_is_given_to_nothing_else():
    @cell(state="h")
    def aliases(x, h):
        """The second u is the input; the sum that is used twice has no name."""
        u1 = x
        k = cw.bernoulli("u2", 0.5)
        h = cw.sin(h * h + k) * (h * h + k) + affine("a", u1, bias=None)
        u3 = h
        u4 = u3
        return u4

    assert aliases.equations.splitlines() == [
        "u2ₜ ~ Bernoulli(0.5)",
        "u5ₜ = hₜ₋₁ ⊙ hₜ₋₁ + u2ₜ",
        "hₜ = sin(u5ₜ) ⊙ u5ₜ + W_ax xₜ",
        "u1ₜ = xₜ",
        "kₜ = u2ₜ",
        "u3ₜ = hₜ",
        "u4ₜ = hₜ",
    ]


def test_two_biases_are_written_as_two():
    @cell(state="h")
    def biased(x, h):
        """One of a sum, one by its own name; a peephole may share it."""
        a = affine("i", x) + cw.bias("i") + cw.scale("f", h)
        h = a + affine("f", x)
        return h

    assert biased.equations.splitlines() == [
        "aₜ = W_ix xₜ + b_i_bias + b_i + w_f ⊙ hₜ₋₁",
        "hₜ = aₜ + W_fx xₜ + b_f",
    ]
    assert r"b_{\mathit{i\_bias}} + b_{i}" in biased.latex


def test_a_matrix_is_named_for_its_gate_and_what_it_reads():
    @cell(state=("h", "c_"), inputs={"x_1": 2})
    def split(x, h, c_, h_below, x_1):
        """Names with underscores in either half, and a position."""
        big_part = affine("i", x_1, h_below, c_, bias=None)
        a_ = affine("a_", x, x * 2, bias=None)
        h = affine("my_gate", big_part, bias=None)
        return h, a_

    assert split.equations.splitlines() == [
        "big_partₜ = W_i,x_1 x_1ₜ + W_i,h_below hₜ↓ + W_i,c_ c_ₜ₋₁",
        "c_ₜ = W_a_,x xₜ + W_a_,1 (xₜ ⊙ 2)",
        "hₜ = W_my_gate,big_part big_partₜ",
        "a_ₜ = c_ₜ",
    ]
    assert r"W_{i,\mathit{x\_1}}\,\mathit{x\_1}_{t}" in split.latex
    assert r"W_{\mathit{a\_},1}\," in split.latex


def test_constants_and_sizes_are_written_exactly():
    @cell(state="h")
    def exact(x, h, t):
        """Periods of seven digits, a size with an underscore, and no bound."""
        m = affine("m", x, size="my_size")
        s = cw.sum_units(m)
        a = t % cw.per_unit([1000001, 2.0000001, 3e-7])
        _ = s / cw.mean_units(m)
        h = cw.minimum(h, float("inf")) + a * cw.maximum(s / 2, float("-inf"))
        return h

    assert "aₜ = t mod [1000001, 2.0000001, 3e-07]" in exact.equations
    assert "= sₜ / (sₜ / |my_size|)" in exact.equations
    assert r"t \bmod [1000001, 2.0000001, 3 \cdot 10^{-7}]" in exact.latex
    assert r"\mathit{\_}_{t} &= \frac{s_{t}}{\frac{s_{t}}{|\mathit{my\_size}|}}" in exact.latex
    assert r"\min\left(h_{t-1}, \infty\right)" in exact.latex
    assert r"\max\left(\frac{s_{t}}{2}, -\infty\right)" in exact.latex
