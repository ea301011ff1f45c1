"""`cw.check`: that backends which are right pass, and that each kind of fault is found."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from odd_cells import everything

import cellwright as cw
from cellwright.backends import BACKENDS, Answer
from cellwright.backends.reference import MEANING, ReferenceBackend
from cellwright.errors import BackendError, CellError, ConformanceError, GraphError, SettingError
from cellwright.look.conformance_runs import rounded


@cw.cell(state="h")
def leaky(x, h):
    """A cell that is quick to interpret."""
    n = cw.tanh(cw.affine("n", x, h))
    h = 0.9 * h + 0.1 * n
    return h


class Spoiled:
    """A backend that does what the reference does, but for one thing."""

    name = "spoiled"

    def __init__(self, before=lambda call: call, behind=lambda result: result):
        self.before, self.behind = before, behind

    def answer(self, graph, device, dtype):
        return Answer(True)

    def build(self, graph, sizes, otherwise=None):
        kernel = ReferenceBackend().build(graph, sizes)
        return lambda call: replace(self.behind(kernel(self.before(call))), call=call)


@pytest.fixture
def only(monkeypatch):
    """Make one backend the only one beside the reference."""

    def make(backend):
        # Not in the table itself, whose order tells which is best.
        found = {backend.name: backend, "reference": BACKENDS["reference"]}
        monkeypatch.setattr("cellwright.look.conformance.BACKENDS", found)

    return make


class Leaning(torch.autograd.Function):
    """A gradient that is a little too large."""

    @staticmethod
    def forward(ctx, value):
        return value.clone()

    @staticmethod
    def backward(ctx, gradient):
        return gradient * (1 + 1e-4)


def off(result, field, change):
    changed = {name: change(value) for name, value in getattr(result, field).items()}
    return replace(result, **{field: changed})


def a_nan(value):
    value = value.clone()
    value.view(-1)[:1] = torch.nan
    return value


def without_lengths(call):
    active = call.active
    return call if active is None else replace(call, active=torch.ones_like(active))


FAULTS = {
    "output": ({"behind": lambda r: replace(r, output=r.output + 1e-4)}, "output; "),
    "states": ({"behind": lambda r: off(r, "states", lambda v: v + 1e-4)}, "after h; "),
    "signals": ({"behind": lambda r: off(r, "signals", lambda v: v + 1e-4)}, "signal "),
    "gradients": (
        {"before": lambda c: off(c, "weights", Leaning.apply)},
        "gradient of weights n_",
    ),
    "gradient of a first state": (
        {"before": lambda c: off(c, "states", Leaning.apply)},
        "gradient of states h",
    ),
    "lengths": ({"before": without_lengths}, "(ragged|interrupted)"),
    "reverse": ({"before": lambda c: replace(c, reverse=False)}, "in reverse"),
    "first state": (
        {"before": lambda c: off(c, "states", lambda v: v * 0)},
        "(full|ragged)",
    ),
    "not a number": ({"behind": lambda r: replace(r, output=a_nan(r.output))}, "not finite alike"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_backend_that_is_wrong_in_one_thing_is_found(only, fault):
    spoiled, where = FAULTS[fault]
    only(Spoiled(**spoiled))
    with pytest.raises(ConformanceError, match=f"leaky is NOT computed alike(.|\n)*{where}"):
        cw.check(leaky)


@pytest.mark.parametrize(
    "mode", [torch.no_grad, torch.inference_mode, lambda: torch.device("meta")]
)
def test_what_the_caller_has_chosen_for_itself_changes_nothing(only, mode):
    spoiled, where = FAULTS["gradients"]
    only(Spoiled(**spoiled))
    with mode(), pytest.raises(ConformanceError, match=where):
        cw.check(leaky)


def test_what_is_computed_without_a_gradient_is_held_against_it_too(only):
    def wrong(result):
        return result if torch.is_grad_enabled() else replace(result, output=result.output + 1e-4)

    only(Spoiled(behind=wrong))
    with pytest.raises(ConformanceError, match="output without a gradient; "):
        cw.check(leaky)


def test_all_kinds_of_calls_come_up(only):
    shapes, draws, threads = set(), set(), set()

    def note(call):
        shapes.add(tuple(call.inputs["x"].shape[:2]))
        draws.add(len(call.draws))
        threads.add(torch.get_num_threads())
        return call

    only(Spoiled(before=note))
    before = torch.get_num_threads()
    cw.check(everything, precisions=[torch.float64])
    assert {0 in shape for shape in shapes} == {True, False}
    assert {0, *(steps for steps, _ in shapes)} == {steps for steps, _ in shapes}
    assert max(steps * rows for steps, rows in shapes) > 1024  # of which a kernel makes chunks
    assert draws == {0, 2}
    assert threads == {before}


@pytest.mark.parametrize("silent", ["after", "output"])
def test_a_gradient_through_some_values_only_that_is_wrong_is_found(only, silent):
    class Needing(torch.autograd.Function):
        """A gradient that is wrong where only one of the two values has one."""

        @staticmethod
        def forward(ctx, output, after):
            ctx.set_materialize_grads(False)
            return output.clone(), after.clone()

        @staticmethod
        def backward(ctx, output, after):
            if (after if silent == "after" else output) is None:
                return (None, 2 * after) if output is None else (2 * output, None)
            return output, after

    def wrong(result):
        output, after = Needing.apply(result.output, result.states["h"])
        return replace(result, output=output, states={"h": after})

    only(Spoiled(behind=wrong))
    with pytest.raises(ConformanceError, match="gradient of"):
        cw.check(leaky)


def test_a_step_that_is_miscounted_is_found(only):
    only(Spoiled(before=lambda call: replace(call, start=None)))
    assert cw.check(leaky).agrees  # which does not look at the step
    with pytest.raises(ConformanceError):
        cw.check("clockwork")


def test_one_backend_of_several_precisions(only):
    only(Spoiled(before=lambda c: off(c, "inputs", lambda v: v.float().to(v.dtype))))
    with pytest.raises(ConformanceError) as found:
        cw.check(leaky)
    double, single = str(found.value).splitlines()[2:4]
    assert double.split()[:2] == ["spoiled", "float64"]
    assert single.split()[:2] == ["spoiled", "float32"]
    error, allowed = map(float, double.split()[4:6])
    assert allowed < 1e-8 < error < 1e-6
    assert cw.check(leaky, precisions=[torch.float32]).agrees


CPU = torch.device("cpu")
COMPILED = ["lstm", "clockwork", everything]


@pytest.mark.parametrize("cell", COMPILED, ids=lambda cell: getattr(cell, "name", cell))
def test_the_compiled_backend_is_right(cell):
    if not BACKENDS["cpu"].answer(cw.cells.get(cell).graph, CPU, torch.float64).possible:
        pytest.skip("there is no compiler here")
    found = cw.check(cell, precisions=[torch.float64, torch.bfloat16])
    assert found.agrees
    assert found.finite == 1
    double, half = found.lines
    assert (double.runs, double.precision, half.precision) == (12, "float64", "bfloat16")
    assert 0 < double.error < double.allowed <= 1e-10
    assert double.numbers == half.numbers > 10_000
    assert f"{double.numbers:,}" in str(found)


def test_sizes_are_those_that_are_given(only):
    seen = set()

    def note(call):
        seen.add((call.inputs["x"].shape[-1], *(v.shape[-1] for v in call.states.values())))
        return call

    only(Spoiled(before=note))
    cw.check("projected_lstm", 4, 6, {"proj": 2})
    assert seen == {(4, 2, 6)}
    seen.clear()
    cw.check("projected_lstm", hidden_size=6)
    assert seen == {(n, m, 6) for n, m in ((3, 5), (17, 33), (1, 1), (32, 64), (8, 160), (2, 3))}
    seen.clear()
    cw.check(cw.cells.clockwork(periods=(1, 2, 3, 5, 7, 9, 11)))  # groups want to be equal
    assert {units % 7 for _, units in seen} == {0}


def test_what_rounding_does_to_a_cell_is_allowed_for(only):
    @cw.cell(state="h")
    def wild(x, h):
        """A rounding of what comes in is seen in the third digit."""
        h = cw.sin(1e4 * cw.affine("h", x)) + 0 * h
        return h

    def rounded(call):
        return off(call, "inputs", lambda v: v * (1 + torch.finfo(v.dtype).eps))

    only(Spoiled(before=rounded))
    found = cw.check(wild)
    assert found.lines[1].allowed > 1e-3 > found.lines[0].allowed


def test_what_rounding_does_within_a_cell_is_allowed_for(only):
    @cw.cell(state="h")
    def centred(x, h):
        """Of one unit only the rounding of its mean is left."""
        a = cw.affine("a", x)
        h = 1e4 * (a - cw.mean_units(a)) + 0 * h
        return h

    def rounded(result):
        return replace(result, output=result.output + 3e3 * torch.finfo(result.output.dtype).eps)

    only(Spoiled(behind=lambda r: r if r.call.active is not None else rounded(r)))  # no padding
    assert cw.check(centred, hidden_size=1).agrees
    with pytest.raises(ConformanceError):
        cw.check(leaky)


def test_what_is_too_great_for_a_precision_is_no_fault_of_the_backend(only):
    @cw.cell(state="h")
    def steep(x, h):
        """Numbers up to 1e80."""
        h = cw.exp(50 * cw.tanh(cw.affine("h", x))) * cw.exp(50 * cw.sigmoid(h))
        return h

    only(Spoiled())
    found = cw.check(steep)
    assert found.lines[1].unknown > 0 == found.lines[1].unlike
    assert "spoiled, float32: nothing is said of " in str(found)


def test_that_nothing_is_known_of_chaos_is_said(only):
    @cw.cell(state="h")
    def chaotic(x, h):
        """Each step makes a hundred of every difference."""
        h = cw.sin(100 * cw.affine("h", x, h))
        return h

    only(Spoiled())
    for line in cw.check(chaotic).lines:
        assert line.unknown > 0.5 * line.numbers


def test_numbers_that_are_not_finite_are_counted(only):
    @cw.cell(state="h")
    def logarithm(x, h):
        """Of half of all inputs there is none."""
        h = cw.tanh(cw.affine("h", cw.log(x), h))
        return h

    only(Spoiled())
    found = cw.check(logarithm)
    assert found.agrees
    assert found.finite < 1
    assert "of these numbers" in str(found)


def test_nothing_to_compare_with(monkeypatch):
    monkeypatch.setattr(
        type(BACKENDS["cpu"]), "answer", lambda *_: Answer(False, "there is no compiler")
    )
    with pytest.raises(BackendError, match="can run cell 'leaky': cpu: there is no compiler"):
        cw.check(leaky)


@pytest.mark.parametrize(
    ("error", "arguments", "message"),
    [
        (CellError, ("lstmm",), "Did you mean 'lstm'"),
        (CellError, (len,), "not builtin_function_or_method"),
        (GraphError, ("lstm", 0), "positive whole number"),
        (GraphError, ("lstm", 3, 4, {"proj": 2}), "no size 'proj'"),
        (GraphError, ("clockwork", 3, 5), "5"),
        (SettingError, ("lstm", 3, 4, ["proj"]), "sizes must be a mapping"),
        (SettingError, ("lstm", 3, 4, {"hidden": 5}), "that is hidden_size"),
    ],
)
def test_what_is_asked_for_is_checked(error, arguments, message):
    with pytest.raises(error, match=message):
        cw.check(*arguments)


@pytest.mark.parametrize(
    "precisions", [(), (torch.int8,), (torch.float64, "float32"), None, "float32", [[1]]]
)
def test_precisions_are_checked(precisions):
    with pytest.raises(SettingError, match=r"precisions=.*: choose from torch.float64"):
        cw.check("lstm", precisions=precisions)


@pytest.mark.parametrize("seed", ["a", None, 1.5, True, 2**70])
def test_a_seed_is_checked(seed):
    with pytest.raises(SettingError, match=f"seed={seed!r}: must be a whole number of 64 bits"):
        cw.check("lstm", seed=seed)


def test_numbers_are_those_of_numpy_too_and_precisions_come_in_any_form(only):
    only(Spoiled())
    for precisions in (torch.float64, iter([torch.float64])):
        found = cw.check(leaky, np.int64(2), np.int64(3), precisions=precisions, seed=np.int64(1))
        assert [line.precision for line in found.lines] == ["float64"]


def test_the_random_numbers_of_others_are_left_alone(only):
    only(Spoiled())
    torch.manual_seed(3)
    first = torch.rand(3)
    torch.manual_seed(3)
    cw.check(leaky)
    assert torch.equal(torch.rand(3), first)


def test_sums_that_are_infinite_have_no_rounding():
    off = rounded(1e-7, torch.Generator().manual_seed(0))["sum"]
    for number in (torch.inf, -torch.inf, 1e300):
        given = torch.tensor([[number, 1.0]], dtype=torch.float64, requires_grad=True)
        torch.testing.assert_close(off(given).item(), number, rtol=1e-5, atol=0)


@pytest.mark.parametrize("units", [17, 64, 500])
@pytest.mark.parametrize("op", ["sum", "matmul"])
def test_sums_are_off_by_what_single_precision_does_to_terms_that_cancel(op, units):
    generator = torch.Generator().manual_seed(0)
    terms = 100 * torch.randn(1000, units, generator=generator)
    terms[:, -1] -= terms.sum(1)
    given = {"sum": (terms,), "matmul": (torch.ones(1, units), terms)}[op]
    exact = terms.double().sum(1, keepdim=True)
    off = rounded(torch.finfo(torch.float32).eps, generator)[op]
    modelled = off(*(value.double().requires_grad_() for value in given)).detach() - exact
    one_by_one = torch.zeros(1000, 1)
    for column in terms.split(1, 1):
        one_by_one += column
    for found in (MEANING[op](*given), one_by_one):
        share = modelled.square().mean().sqrt() / (found - exact).square().mean().sqrt()
        assert 0.25 < share < 4
