"""The words of the language, and what is said about wrong ones."""

import math

import numpy as np
import pytest
import torch

import cellwright as cw
from cellwright import affine, cell, per_unit, scale, sigmoid, tanh, where
from cellwright.cells.language import WORDS
from cellwright.errors import CellError


def test_every_word_is_public():
    import cellwright

    assert set(WORDS) <= set(dir(cellwright))


def test_the_first_example_of_the_design():
    @cell(state=("h", "c"))
    def peephole_lstm(x, h, c):
        """LSTM with peepholes (Gers & Schmidhuber 2000)."""
        i = sigmoid(affine("i", x, h) + scale("i_peep", c))
        f = sigmoid(affine("f", x, h, bias=1.0) + scale("f_peep", c))
        g = tanh(affine("g", x, h))
        c = f * c + i * g
        o = sigmoid(affine("o", x, h) + scale("o_peep", c))
        h = o * tanh(c)
        return h, c

    assert peephole_lstm.states == ("h", "c")
    assert peephole_lstm.signals == ("h", "c", "i", "f", "g", "o")
    assert list(peephole_lstm.graph.weights) == [
        *("i_x", "i_h", "i_bias", "i_peep", "f_x", "f_h", "f_bias", "f_peep"),
        *("g_x", "g_h", "g_bias", "o_x", "o_h", "o_bias", "o_peep"),
    ]
    assert peephole_lstm.graph.weights["f_bias"].attributes["init"] == 1.0
    assert peephole_lstm.__doc__ == "LSTM with peepholes (Gers & Schmidhuber 2000)."


def test_signals_are_the_local_variables_in_their_order():
    @cell(state="h")
    def example(x, h, *, slope=0.5):
        a = tanh(affine("a", x))
        twice = a * 2
        a = a + twice  # bound again: the last value has the name
        unused = h - 1  # noqa: F841
        number = 3.0
        h = a * number * slope
        return h

    assert list(dict(example.graph.signals)) == ["twice", "a", "unused", "h"]
    assert example.graph.observable["a"].op == "add"


def test_matrices_are_named_after_what_they_see():
    @cell(state=("h", "c"))
    def example(x, h, c):
        m = h * c
        c = affine("c", x, m, m + 1)
        h = affine("h", c) + affine("a", h, h * 2)
        return h, c

    names = list(example.graph.weights)
    assert names == ["c_x", "c_m", "c_2", "c_bias", "h_c", "h_bias", "a_h", "a_1", "a_bias"]


def test_a_state_before_and_after_the_step_have_matrices_of_their_own():
    @cell(state=("h", "c"))
    def example(x, h, c):
        old = c
        c = tanh(affine("c", x))
        h = affine("h", old, c)
        return h, c

    assert {"h_old", "h_c"} <= set(example.graph.weights) or {"h_0", "h_1"} <= set(
        example.graph.weights
    )


def test_sizes_follow_from_what_a_state_becomes():
    @cell(state=("y", "h"))
    def jordan(x, y, h, *, outputs=3):
        h = tanh(affine("h", x, y))
        y = affine("y", h, size=outputs)
        return y, h

    assert jordan.graph.state_sizes == {"y": 3, "h": "hidden"}
    assert jordan(outputs=5).graph.state_sizes == {"y": 5, "h": "hidden"}
    assert jordan.graph.weights["h_y"].attributes["columns"] == 3
    assert cw.cells.projected_lstm.graph.state_sizes == {"h": "proj", "c": "hidden"}


def test_a_counter_is_a_state_too():
    @cell(state=("h", "n"))
    def example(x, h, n):
        n = n + 1
        h = tanh(affine("h", x, h)) / n
        return h, n

    assert example.graph.state_sizes == {"h": "hidden", "n": "hidden"}


def test_one_number_for_all_units_is_a_state_of_one():
    @cell(state=("h", "s"))
    def example(x, h, s):
        s = cw.sum_units(h)
        h = tanh(affine("h", x, h)) * s
        return h, s

    assert example.graph.state_sizes == {"h": "hidden", "s": 1}


def test_options_make_other_cells():
    @cell(state="h")
    def example(x, h, *, activation="tanh", keep=0.5):
        squash = {"tanh": tanh, "sigmoid": sigmoid}[activation]
        h = keep * h + squash(affine("h", x, h))
        return h

    other = example(activation="sigmoid")
    assert "σ" in other.equations
    assert "tanh" in example.equations
    assert other.options == {"activation": "sigmoid", "keep": 0.5}
    assert other(keep=0.25).options == {"activation": "sigmoid", "keep": 0.25}
    with pytest.raises(CellError, match="no option 'activatoin'.*Did you mean 'activation'"):
        example(activatoin="tanh")


def test_the_function_may_be_traced_inside_another_tracer():
    import sys

    seen = []

    def tracer(frame, event, argument):
        seen.append(event)

    before = sys.gettrace()
    sys.settrace(tracer)
    try:

        @cell(state="h")
        def example(x, h):
            h = tanh(affine("h", x, h))
            return h

        assert sys.gettrace() is tracer
    finally:
        sys.settrace(before)
    assert example.signals == ("h",)


def error_of(make, **arguments):
    with pytest.raises(CellError) as caught:
        cell(**({"state": ("h", "c")} | arguments))(make)
    return str(caught.value)


def returns_one(x, h, c):
    h = tanh(affine("h", x, h))
    return h


def returns_nothing(x, h, c):
    h = tanh(affine("h", x, h))


def returns_a_text(x, h, c):
    return "h", c


def returns_truth(x, h, c):
    return h > 0, c


def misspelt(x, h, c):
    h = tanh(affine("h", x, h))
    c = sigmiod(h)  # noqa: F821
    return h, c


def not_imported(x, h, c):
    h = softplus(h)  # noqa: F821
    return h, c


def mixes_sizes(x, h, c):
    p = affine("p", h, size="proj")
    h = tanh(affine("h", x, h)) + p
    return h, c


def calls_torch(x, h, c):
    h = torch.sigmoid(h)
    return h, c


def calls_torch_on_two(x, h, c):
    h = torch.add(torch.ones(3), h)
    return h, c


def calls_numpy(x, h, c):
    h = np.tanh(h)
    return h, c


def calls_math(x, h, c):
    h = math.exp(h)
    return h, c


def branches(x, h, c):
    if h > 0:
        h = h * 2
    return h, c


def chains(x, h, c):
    h = where(0 < h < 1, h, c)
    return h, c


def indexes(x, h, c):
    h = h[0]
    return h, c


def unpacks(x, h, c):
    a, b = h
    return a, b


def adds_a_list(x, h, c):
    h = h * [1.0, 2.0]
    return h, c


def adds_a_text(x, h, c):
    h = h + "1"
    return h, c


def forgets_the_name(x, h, c):
    h = affine(x, h)
    return h, c


def names_twice(x, h, c):
    h = affine("a", x) * affine("a", h)
    return h, c


def no_source(x, h, c):
    h = affine("a")
    return h, c


def power(x, h, c):
    h = h**0.5
    return h, c


def unequal(x, h, c):
    h = where(h != 0, h, c)
    return h, c


@pytest.mark.parametrize(
    ("function", "words"),
    [
        (returns_one, "2 states (h, c) but the function returns 1; end it with `return h, c`"),
        (returns_nothing, "returns nothing; end it with `return h, c`"),
        (returns_a_text, "state 'h' becomes str"),
        (returns_truth, "becomes a comparison"),
        (misspelt, "unknown name 'sigmiod'. Did you mean 'sigmoid'?"),
        (not_imported, "from cellwright import softplus"),
        (mixes_sizes, "sizes do not fit together: hidden and proj"),
        (calls_torch, "torch's 'sigmoid' was called on a traced value"),
        (calls_torch_on_two, "torch's 'add' was called on a traced value"),
        (calls_numpy, "numpy's 'tanh' was called on a traced value"),
        (calls_math, "not a number; use cellwright's functions instead of those of math"),
        (branches, "where(condition, then, otherwise)"),
        (chains, "chained comparison"),
        (indexes, "cannot be indexed"),
        (unpacks, "cannot be unpacked"),
        (adds_a_list, "per_unit([...])"),
        (adds_a_text, "expected a traced value or a number, got str"),
        (forgets_the_name, 'affine takes its name first, as in affine("i", x, h)'),
        (names_twice, "parameter 'a_bias' exists already"),
        (no_source, 'affine("a") has no source'),
        (power, "only whole powers"),
        (unequal, "!= is not part of the language"),
    ],
)
def test_a_mistake_is_explained_where_it_stands(function, words):
    message = error_of(function)
    assert words in message
    assert f"cell {function.__name__!r}, line {_line_of(function, message)}" in message


def _line_of(function, message):
    """The line in the message, checked to lie within the function."""
    line = int(message.split("line ")[1].split(":")[0].split("\n")[0])
    first = function.__code__.co_firstlineno
    assert first <= line <= first + 5
    return line


def test_the_equation_of_a_mistake_is_shown():
    assert "`c = sigmiod(h)" in error_of(misspelt)


@pytest.mark.parametrize(
    ("arguments", "function", "words"),
    [
        ({}, lambda h, c: (h, c), r"must take \(x, h, c, …\)"),
        ({}, lambda x, c, h: (h, c), r"must take \(x, h, c, …\)"),
        ({}, lambda x, h, c, gap: (h, c), "unknown argument 'gap'.*may take t, h_below, c_below"),
        ({}, lambda x, h, c, c_belw: (h, c), "Did you mean 'c_below'"),
        ({"inputs": {"gap": 1}}, lambda x, h, c: (h, c), "declares the input 'gap'"),
        ({"state": ("h", "h")}, lambda x, h: h, "different names"),
        ({"state": ("x",)}, lambda x: x, "'x' cannot name a state"),
        ({"state": ("h",), "inputs": {"t": 1}}, lambda x, h, t: h, "'t' cannot name"),
        ({"state": ()}, lambda x: x, "one or more states"),
        ({"state": None}, lambda x: x, r"write @cell\(state="),
        ({"state": ("h", 3)}, lambda x, h: h, r"write @cell\(state="),
        ({"state": {"h", "c"}}, lambda x, h, c: (h, c), r"write @cell\(state="),
        ({"inputs": ["gap"]}, lambda x, h, c, gap: (h, c), r"write inputs=\{"),
        ({"inputs": {"gap": 0}}, lambda x, h, c, gap: (h, c), "'gap': a size is a name or a pos"),
    ],
)
def test_a_wrong_signature_is_explained(arguments, function, words):
    with pytest.raises(CellError, match=words):
        cell(**({"state": ("h", "c")} | arguments))(function)


def test_arguments_may_have_no_names_for_the_caller():
    @cell(state="h")
    def example(x, h, /, *, rate=0.5):
        h = rate * h + affine("h", x)
        return h

    assert list(example.graph.weights) == ["h_x", "h_bias"]


def test_a_state_may_become_a_number_of_numpy():
    made = cell(state=("h", "c"))(lambda x, h, c: (h, np.int64(3)))
    assert "cₜ = 3" in made.equations


def test_an_option_needs_a_default():
    def example(x, h, *, rate):
        return h

    with pytest.raises(CellError, match="option 'rate' needs a default"):
        cell(state="h")(example)


def test_the_decorator_wants_its_states():
    with pytest.raises(CellError, match=r"write @cell\(state="):
        cell(returns_one)


def test_words_outside_a_cell_are_refused():
    for call in (
        lambda: affine("i", 1.0),
        lambda: scale("i", 1.0),
        lambda: per_unit([1.0]),
        lambda: cw.bernoulli("d", 0.5),
        lambda: cw.layer_norm("n", 1.0),
    ):
        with pytest.raises(CellError, match="outside a cell"):
            call()


def test_an_error_of_the_author_is_not_dressed_up():
    def example(x, h):
        raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        cell(state="h")(example)


def test_a_failed_tracing_leaves_nothing_behind():
    import sys

    before = sys.gettrace()
    error_of(misspelt)
    assert sys.gettrace() is before
    with pytest.raises(CellError, match="outside a cell"):
        affine("i", 1.0)


def test_a_state_may_keep_what_another_was():
    @cw.cell(state=("h", "p"))
    def momentum(x, h, p):
        n = affine("n", x, h - p, size="proj")
        return n, h

    assert momentum.graph.state_sizes == {"h": "proj", "p": "proj"}


def test_names_do_not_depend_on_how_equations_are_laid_out():
    @cell(state="h")
    def example(x, h):
        m = h * 2; h = tanh(affine("n", x, m))  # fmt: skip  # noqa: E702
        return h

    assert "n_m" in example.graph.weights


def test_the_variables_of_a_comprehension_are_no_signals():
    @cell(state="h")
    def example(x, h):
        a = affine("a", x)
        parts = [tanh(v) for v in (a, h)]
        h = parts[0] + parts[1]
        return h

    assert list(dict(example.graph.signals)) == ["a", "h"]


def test_a_variable_called_bias_is_an_ordinary_source():
    @cell(state="h")
    def example(x, h):
        bias = tanh(x)
        h = tanh(affine("n", h, bias))
        return h

    assert set(example.graph.weights) == {"n_h", "n_1", "n_bias"}


def test_a_decorator_below_changes_nothing():
    import functools

    def logged(function):
        @functools.wraps(function)
        def wrapper(*values, **options):
            return function(*values, **options)

        return wrapper

    @cell(state="h")
    @logged
    def example(x, h):
        m = h * 2
        h = tanh(affine("n", x, m))
        return h

    assert example.signals == ("h", "m")
    assert "n_m" in example.graph.weights


def test_a_cell_is_made_of_a_function():
    import functools

    with pytest.raises(CellError, match="made of a function"):
        cell(state="h")(functools.partial(returns_one))


def test_copies_keep_their_options():
    import copy

    @cell(state="h")
    def example(x, h, *, rate=0.5):
        h = rate * h + affine("h", x)
        return h

    assert copy.deepcopy(example)(rate=0.25).options == {"rate": 0.25}


def test_numbers_of_numpy_are_numbers():
    @cell(state="h")
    def example(x, h):
        h = np.float64(0.5) * h ** np.int64(2) + np.float32(0.25) * affine("h", x) - np.int64(1)
        return h

    assert "0.5 ⊙ hₜ₋₁ ⊙ hₜ₋₁ + 0.25 ⊙" in example.equations


def draws_twice(x, h, c):
    h = cw.bernoulli("d", 0.5) * h + cw.bernoulli("d", 0.5)
    return h, c


def draws_for_zoneout(x, h, c):
    h = cw.bernoulli("zoneout_h", 0.5) * h
    return h, c


def calls_a_cell(x, h, c):
    h = cw.cells.elman(x, h)
    return h, c


def names_a_norm_badly(x, h, c):
    h = cw.layer_norm("a b", h)
    return h, c


def multiplies_matrices(x, h, c):
    h = x @ h
    return h, c


def asks_for_a_method(x, h, c):
    h = h.sigmoid()
    return h, c


def prints_a_number(x, h, c):
    print(f"{h:.2f}")
    return h, c


def misspells_an_argument(x, h, c):
    h = affine("h", x, h, bais=1.0)
    return h, c


def divides_by_nothing(x, h, c):
    h = h / 0
    return h, c


def adds_nan(x, h, c):
    h = h + math.nan
    return h, c


def draws_for_a_state(x, h, c):
    h = cw.bernoulli("c", 0.5) * h
    return h, c


def multiplies_too_much(x, h, c):
    h = h * 10**400
    return h, c


def spreads_a_number(x, h, c):
    h = h * per_unit(3)
    return h, c


def puts_sources_in_a_list(x, h, c):
    h = affine("h", [x, h])
    return h, c


def reads_before_it_writes(x, h, c):
    h = h * new  # noqa: F821
    new = h  # noqa: F841
    return h, c


def returns_nan(x, h, c):
    return h, math.nan


def counts_with_a_truth(x, h, c):
    h = (h > 0) * h
    return h, c


def chooses_by_a_value(x, h, c):
    h = where(c, h, 0)
    return h, c


def joins_truths(x, h, c):
    h = where((h > 0) & (c > 0), h, 0)
    return h, c


def turns_a_truth(x, h, c):
    h = where(~(h > 0), h, 0)
    return h, c


def divides_to_the_floor(x, h, c):
    h = h // 2
    return h, c


def raises_by_a_value(x, h, c):
    h = h**c
    return h, c


def raises_a_number(x, h, c):
    h = 2**h
    return h, c


@pytest.mark.parametrize(
    ("function", "words"),
    [
        (draws_for_a_state, "'c' is an argument of the cell; give the draw another name"),
        (multiplies_too_much, "a constant has more digits than any number"),
        (spreads_a_number, "per_unit: expected a list of numbers, got 3"),
        (puts_sources_in_a_list, "write them one by one"),
        (reads_before_it_writes, "cannot access local variable 'new'"),
        (returns_nan, "a constant is NaN"),
        (counts_with_a_truth, "a comparison is no number; write where(condition, 1, 0)"),
        (chooses_by_a_value, "where chooses by a comparison, as in where(a > b, "),
        (joins_truths, "~ are not part of the language; write one where in another"),
        (turns_a_truth, "~ are not part of the language; write one where in another"),
        (divides_to_the_floor, "write floor(a / b)"),
        (raises_by_a_value, "not a traced value; write exp(power * log(base))"),
        (raises_a_number, "2 to a power that is traced is written exp(power * log(2))"),
        (multiplies_matrices, 'is written affine("name", value)'),
        (asks_for_a_method, "has no .sigmoid; write sigmoid(value)"),
        (prints_a_number, "no number to print"),
        (misspells_an_argument, "unexpected keyword argument 'bais'"),
        (divides_by_nothing, "division by the constant 0"),
        (adds_nan, "a constant is NaN"),
        (draws_twice, "the draw 'd' exists already"),
        (draws_for_zoneout, "would meet those of zoneout"),
        (calls_a_cell, "is not called on values"),
        (names_a_norm_badly, 'layer_norm("a b")'),
    ],
)
def test_a_rarer_mistake_is_explained_too(function, words):
    message = error_of(function)
    assert words in message
    _line_of(function, message)


@pytest.mark.parametrize("name", ["lengths", "mask", "network", "record", "self", "state"])
def test_an_extra_input_is_not_called_like_an_argument_of_a_network(name):
    with pytest.raises(CellError, match=f"'{name}' cannot name an extra input, because networks"):
        made(["h"], [name])


@pytest.mark.parametrize(
    ("states", "inputs", "words"),
    [
        (["h", "c"], ["c"], "'c' names both a state and an extra input"),
        (["h"], ["h_below"], "'h_below' cannot name a state or an extra input"),
        (["h_below", "h"], [], "'h_below' cannot name a state or an extra input"),
    ],
)
def test_a_name_stands_for_one_thing(states, inputs, words):
    with pytest.raises(CellError, match=words):
        made(states, inputs)


def made(states, inputs):
    """A cell of these names that leaves its states as they are."""
    arguments = ", ".join(dict.fromkeys(["x", *states, *inputs]))
    scope = {}
    exec(f"def odd({arguments}):\n    return {', '.join(states)}\n", scope)
    return cell(state=states, inputs=dict.fromkeys(inputs, 1))(scope["odd"])
