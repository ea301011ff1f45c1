"""Nodes: one object for equal expressions, checked when they are made, never changed."""

import copy
import gc
import threading

import pytest

from cellwright.errors import GraphError
from cellwright.ir import OPS, block_of_units, node, topological
from cellwright.ir.sizes import UNKNOWN, join


def state(name="h", size="hidden"):
    return node("state", name=name, size=size)


def number(value):
    return node("constant", value=value)


def test_equal_expressions_are_one_object():
    assert node("add", state(), number(1.0)) is node("add", state(), number(1))
    assert node("add", state(), number(1.0)) is not node("add", number(1.0), state())


def test_numbers_that_only_look_equal_are_not_merged():
    assert number(0.0) is not number(-0.0)
    assert number(float("nan")) is number(float("nan"))


def test_a_node_cannot_be_changed():
    with pytest.raises(AttributeError):
        state().op = "neg"
    with pytest.raises(TypeError):
        state().attributes["name"] = "c"


def test_copies_of_a_node_are_the_node():
    assert copy.copy(state()) is copy.deepcopy(state()) is state()


def test_nodes_that_nobody_holds_are_forgotten():
    from cellwright.ir.node import _interned

    kept = [node("neg", state(f"s{i}")) for i in range(50)]
    before = len(_interned)
    del kept
    gc.collect()
    assert len(_interned) <= before - 100


def test_threads_get_the_same_node():
    made = []
    barrier = threading.Barrier(8)

    def make():
        barrier.wait()
        made.append([node("tanh", state(f"thread{i}")) for i in range(300)])

    threads = [threading.Thread(target=make) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for other in made[1:]:
        assert all(a is b for a, b in zip(made[0], other, strict=True))


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: node("sigmoidd", state()), "Did you mean 'sigmoid'"),
        (lambda: node("add", state()), "takes 2 inputs, got 1"),
        (lambda: node("neg", state(), name="x"), "takes the attributes none"),
        (lambda: node("state", name="h"), "takes the attributes name, size"),
        (lambda: state("a b"), "identifier"),
        (lambda: state(size=0), "positive whole number"),
        (lambda: state(size=True), "positive whole number"),
        (lambda: number("1"), "expected a number"),
        (lambda: number(True), "expected a number"),
        (lambda: node("add", state(), state("p", "proj")), "hidden and proj"),
        (lambda: node("per_unit", values=(), size="hidden"), "list of numbers"),
        (lambda: node("per_unit", values=(1.0, float("inf")), size="hidden"), "finite"),
        (
            lambda: node("vector", name="b", size=1, role="bias", init=float("nan")),
            "starts at a fin",
        ),
        (lambda: node("per_unit", values=(1.0,), size="hidden", even=1), "true or false, got 1"),
        (
            lambda: node("bernoulli", name="d", probability=1.5, per="step", size="hidden"),
            "0..1",
        ),
        (lambda: node("bernoulli", name="d", probability=0.5, per="day", size=1), "one of step"),
        (
            lambda: node("matrix", name="W", size=1, columns=1, mask=("diagonal", 2)),
            "block_diagonal",
        ),
        (lambda: node("where", state(), state(), state()), "where chooses by a comparison"),
        (lambda: node("neg", node("less", state(), number(0))), "comparison is no number"),
        (lambda: node("matmul", state(), state()), "matrix stands only before"),
        (lambda: node("matmul_transposed", state(), state()), "matrix stands only before"),
        (lambda: node("gradient", name="h", size="hidden", origin="here"), "one of later"),
    ],
)
def test_what_is_not_well_formed_is_refused(make, words):
    with pytest.raises(GraphError, match=words.replace(".", r"\.")):
        make()


def test_a_matrix_fits_its_value():
    matrix = node("matrix", name="W", size="proj", columns="hidden", mask=None)
    assert node("matmul", matrix, state()).size == "proj"
    with pytest.raises(GraphError, match="takes hidden units, got input"):
        node("matmul", matrix, node("input", name="x", size="input"))
    assert node("matmul_transposed", matrix, state(size="proj")).size == "hidden"
    with pytest.raises(GraphError, match="'W', transposed, takes proj units, got hidden"):
        node("matmul_transposed", matrix, state())


@pytest.mark.parametrize(
    ("left", "right", "result"),
    [
        ("hidden", "hidden", "hidden"),
        (1, "hidden", "hidden"),
        ("hidden", 1, "hidden"),
        (1, UNKNOWN, UNKNOWN),
        (UNKNOWN, "proj", "proj"),
        (3, 3, 3),
    ],
)
def test_sizes_join(left, right, result):
    assert join(left, right) == join(right, left) == result


def test_every_op_has_a_meaning_in_words():
    assert all(op.meaning and op.name == name for name, op in OPS.items())


def test_order_puts_inputs_first_and_survives_any_depth():
    value = state()
    for _ in range(20_000):
        value = node("neg", value)
    order = list(topological([value]))
    assert len(order) == 20_001
    assert order[0] is state()
    assert order[-1] is value


def test_units_spread_over_blocks():
    assert block_of_units(7, 3) == [0, 0, 0, 1, 1, 2, 2]
    assert block_of_units(3, 3) == [0, 1, 2]
    with pytest.raises(GraphError, match="4 blocks"):
        block_of_units(3, 4)
