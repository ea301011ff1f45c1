"""Attention against its formulas written out, with masks, gradients and records."""

import math

import pytest
import torch

import cellwright as cw
from cellwright.errors import SettingError, ShapeError

close = torch.testing.assert_close
KINDS = ("dot", "general", "concat", "bahdanau")


@pytest.fixture(autouse=True)
def _same_numbers():
    torch.manual_seed(0)


def attention(kind, query=3, memory=3, **options):
    return cw.Attention(query, memory, kind, dtype=torch.float64, **options)


def batch(queries=4, positions=5, query=3, memory=3, rows=2):
    wide = {"dtype": torch.float64}
    return torch.randn(rows, queries, query, **wide), torch.randn(rows, positions, memory, **wide)


def score_by_hand(module, query, value):
    """One score as the papers write it, number by number."""
    weights = {name: weight.tolist() for name, weight in module.named_parameters()}
    q, m = query.tolist(), value.tolist()

    def times(matrix, vector):
        return [sum(a * b for a, b in zip(row, vector, strict=True)) for row in matrix]

    if module.kind == "dot":
        return sum(a * b for a, b in zip(q, m, strict=True))
    inner = times(weights["key.weight"], m)
    if module.kind == "general":
        return sum(a * b for a, b in zip(q, inner, strict=True))
    outer = times(weights["query.weight"], q)
    bias = weights.get("query.bias", [0.0] * len(outer))
    summed = [math.tanh(a + b + c) for a, b, c in zip(inner, outer, bias, strict=True)]
    return sum(a * b for a, b in zip(weights["value"], summed, strict=True))


@pytest.mark.parametrize("kind", KINDS)
def test_it_is_the_formula_position_by_position(kind):
    units = {"units": 7} if kind in ("concat", "bahdanau") else {}
    size = 3 if kind == "dot" else 4
    module = attention(kind, memory=size, **units)
    if kind == "bahdanau":
        torch.nn.init.normal_(module.query.bias)
    query, memory = batch(memory=size)
    lengths = [5, 2]
    context, weights, scores = module(query, memory, lengths)
    for row, count in enumerate(lengths):
        for step in range(query.shape[1]):
            e = [score_by_hand(module, query[row, step], memory[row, p]) for p in range(count)]
            total = sum(map(math.exp, e))
            wanted = [math.exp(value) / total for value in e]
            assert weights[row, step, :count].tolist() == pytest.approx(wanted)
            assert scores[row, step, :count].tolist() == pytest.approx(e)
            mean = sum(w * memory[row, p] for p, w in enumerate(wanted))
            close(context[row, step], mean)


@pytest.mark.parametrize("kind", KINDS)
def test_what_stands_behind_the_end_counts_for_nothing(kind):
    module = attention(kind)
    query, memory = batch(rows=3)
    lengths = torch.tensor([5, 2, 0])
    context, weights, _ = module(query, memory, lengths)
    close(weights.sum(-1), torch.tensor([1.0, 1.0, 0.0]).double()[:, None].expand(3, 4))
    assert not weights[1, :, 2:].any()
    assert not context[2].any()
    memory[1, 2:] = 1e6
    memory[2] = -1e6
    close(module(query, memory, lengths).context, context)
    mask = torch.arange(5) < lengths[:, None]
    close(module(query, memory, mask=mask).context, context)


@pytest.mark.parametrize("kind", KINDS)
def test_gradients(kind):
    module = attention(kind)
    query, memory = batch(queries=2, positions=3)
    inputs = [query.requires_grad_(), memory.requires_grad_(), *module.parameters()]

    def run(query, memory, *weights):
        names = [name for name, _ in module.named_parameters()]
        state = dict(zip(names, weights, strict=True))
        result = torch.func.functional_call(module, state, (query, memory, [3, 1]))
        return result.context, result.weights

    assert torch.autograd.gradcheck(run, inputs)


@pytest.mark.parametrize("kind", KINDS)
def test_a_row_without_positions_has_finite_gradients(kind):
    module = attention(kind)
    query, memory = batch()
    query.requires_grad_()
    module(query, memory, [5, 0]).context.square().sum().backward()
    assert bool(query.grad.isfinite().all())
    assert not query.grad[1].any()


@pytest.mark.parametrize("kind", KINDS)
def test_one_query_after_another_gives_the_same(kind):
    module = attention(kind)
    query, values = batch()
    memory = module.prepare(values, [5, 2])
    whole = module(query, values, [5, 2])
    for step in range(4):
        one = module(query[:, step], memory)
        close(one.context, whole.context[:, step])
        close(one.weights, whole.weights[:, step])
    flipped = module(query.flip(0), memory.take(torch.tensor([1, 0])))
    close(flipped.context.flip(0), whole.context)


def test_keys_are_projected_once():
    module = attention("general")
    calls = []
    module.key.register_forward_hook(lambda *_: calls.append(1))
    query, values = batch()
    memory = module.prepare(values)
    for step in range(4):
        module(query[:, step], memory)
    assert len(calls) == 1


def test_weights_are_recorded_like_signals():
    module = attention("bahdanau").train()
    query, values = batch()
    tape = cw.record(module, query, memory=values, lengths=[5, 2])
    assert list(tape[0]) == ["context", "weights", "scores"]
    close(tape[0]["weights"], module(query, values, [5, 2]).weights)
    assert not tape[0]["weights"].requires_grad
    assert module.training


def test_half_precision_has_no_infinities():
    module = cw.Attention(3, 3, "dot", dtype=torch.bfloat16)
    query, values = (value.to(torch.float16) for value in batch())
    weights = module(query, values, [5, 0]).weights
    assert bool(weights.isfinite().all())


def test_refusals():
    with pytest.raises(SettingError, match="no attention 'genral'.*Did you mean 'general'"):
        attention("genral")
    with pytest.raises(SettingError, match="'dot'.*got 3 and 4. Use 'general'"):
        attention("dot", memory=4)
    with pytest.raises(SettingError, match="no units of its own"):
        attention("general", units=4)
    module = attention("general", memory=4)
    query, memory = batch(memory=4)
    with pytest.raises(ShapeError, match=r"query: expected \(batch=2, queries, features=3\)"):
        module(query[:1], memory)
    with pytest.raises(ShapeError, match=r"memory: expected \(batch, positions, features=4\)"):
        module(query, query)
    with pytest.raises(ShapeError, match=r"lengths: must lie in 0..5"):
        module(query, memory, [6, 2])
    with pytest.raises(ShapeError, match="prepared with its lengths"):
        module(query, module.prepare(memory), [1, 1])
    with pytest.raises(ShapeError, match=r"mask: expected \(batch=2, positions=5\), got"):
        module(query, memory, mask=torch.ones(2, 4) > 0)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("junk", [math.nan, math.inf])
def test_padding_that_is_no_number_reaches_nothing(kind, junk):
    module = attention(kind)
    query, memory = batch(rows=3)
    lengths = [5, 2, 0]

    def run(values):
        values = values.clone().requires_grad_()
        asked = query.clone().requires_grad_()
        attended = module(asked, values, lengths)
        wanted = [asked, values, *module.parameters()]
        found = torch.autograd.grad(attended.context.square().sum(), wanted)
        return [attended.context, attended.weights, *found]

    expected = run(memory)
    memory[1, 2:] = junk
    memory[2] = junk
    found = run(memory)
    assert all(bool(value.isfinite().all()) for value in found)
    assert not found[0][2].any()
    close(found, expected)


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_no_tensor_of_its_type_is_named(kind):
    module = attention(kind)
    query, memory = batch()
    for name, given in (("query", ([[0.0]], memory)), ("memory", (query, [[[0.0]]]))):
        with pytest.raises(ShapeError, match=f"{name}: expected a tensor, got list"):
            module(*given)
    with pytest.raises(ShapeError, match="query: expected torch.float64 on cpu, got torch.float32"):
        module(query.float(), memory)
    with pytest.raises(ShapeError, match="expected torch.float(32|64) on cpu, got torch.float"):
        module(query, memory.float())
    with pytest.raises(ShapeError, match="memory: expected floating-point numbers, got torch.int"):
        module(query.long(), memory.long())
    with torch.autocast("cpu", torch.bfloat16):
        mixed = module.float()(query.float(), memory.bfloat16())
    assert bool(mixed.context.isfinite().all())
