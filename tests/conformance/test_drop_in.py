"""The drop-ins against torch.nn, over the whole grid of options.

Outputs, final states and every gradient: of the weights, of the input and of the initial
states. The tolerance is relative to the greatest magnitude of the tensor in question.
"""

import itertools

import pytest
import torch
from torch.nn.utils.rnn import pack_sequence, pad_packed_sequence

import cellwright as cw

MODULES = {
    "LSTM": (cw.LSTM, torch.nn.LSTM, {}),
    "LSTM projected": (cw.LSTM, torch.nn.LSTM, {"proj_size": 3}),
    "GRU": (cw.GRU, torch.nn.GRU, {}),
    "RNN tanh": (cw.RNN, torch.nn.RNN, {}),
    "RNN relu": (cw.RNN, torch.nn.RNN, {"nonlinearity": "relu"}),
}
DTYPES = {torch.float32: 1e-6, torch.float64: 1e-12}
FLAGS = list(itertools.product((1, 2), (False, True), (False, True), (False, True)))
INPUTS = ("batch", "one sequence", "packed", "packed unsorted")
STATES = (False, True)
BATCH, STEPS, FEATURES, UNITS = 4, 6, 5, 7


# What torch says of its own projected LSTM.
@pytest.mark.filterwarnings("ignore:LSTM with projections is not supported with oneDNN")
@pytest.mark.parametrize("kind", INPUTS)
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("name", MODULES)
def test_it_equals_torch(name, dtype, kind, record_property):
    record_property("cases", len(FLAGS) * len(STATES))
    ours_class, theirs_class, extra = MODULES[name]
    for layers, bidirectional, bias, batch_first in FLAGS:
        options = {
            "num_layers": layers,
            "bidirectional": bidirectional,
            "bias": bias,
            "batch_first": batch_first,
            "dtype": dtype,
            **extra,
        }
        torch.manual_seed(0)
        ours = ours_class(FEATURES, UNITS, **options)
        torch.manual_seed(0)
        theirs = theirs_class(FEATURES, UNITS, **options)
        assert_same(ours.state_dict(), theirs.state_dict(), 0, options)
        for with_states in STATES:
            found = outcome(ours, kind, with_states, dtype)
            expected = outcome(theirs, kind, with_states, dtype)
            assert_same(found, expected, DTYPES[dtype], (options, kind, with_states))


def outcome(module, kind, with_states, dtype):
    """Everything that a module computes on one kind of input, by name."""
    generator = torch.Generator().manual_seed(1)

    def draw(*shape):
        return torch.randn(*shape, generator=generator, dtype=dtype).requires_grad_()

    leaves, given = inputs(module, kind, draw)
    states = initial(module, kind, draw) if with_states else None
    module.zero_grad()
    output, after = module(given, as_argument(states)) if with_states else module(given)
    after = after if isinstance(after, tuple) else (after,)
    results = {f"after {n}": state for n, state in enumerate(after)}
    if kind.startswith("packed"):
        results["data"], results["batch_sizes"] = output.data, output.batch_sizes
        for order in ("sorted_indices", "unsorted_indices"):
            indices = getattr(output, order)
            assert (indices is None) == (getattr(given, order) is None)
            if indices is not None:
                results[order] = indices
        output, results["lengths"] = pad_packed_sequence(output)
    results["output"] = output
    sum(weighed(result) for result in (output, *after)).backward()
    results |= {f"gradient of {key}": p.grad for key, p in module.named_parameters()}
    results |= {f"gradient of x {n}": leaf.grad for n, leaf in enumerate(leaves)}
    results |= {f"gradient of state {n}": s.grad for n, s in enumerate(states or ())}
    return results


def weighed(result):
    """A sum in which every entry counts differently."""
    factors = torch.cos(torch.arange(result.numel(), dtype=result.dtype))
    return (factors.view_as(result) * result).sum()


def inputs(module, kind, draw):
    if kind.startswith("packed"):
        lengths = (6, 4, 4, 1) if kind == "packed" else (4, 1, 6, 4)
        rows = [draw(length, FEATURES) for length in lengths]
        return rows, pack_sequence(rows, enforce_sorted=kind == "packed")
    if kind == "one sequence":
        x = draw(STEPS, FEATURES)
    else:
        x = draw(*((BATCH, STEPS) if module.batch_first else (STEPS, BATCH)), FEATURES)
    return [x], x


def initial(module, kind, draw):
    wide = module.num_layers * (2 if module.bidirectional else 1)
    batch = () if kind == "one sequence" else (BATCH,)
    states = [draw(wide, *batch, module.proj_size or UNITS)]
    return [*states, draw(wide, *batch, UNITS)] if isinstance(module, torch.nn.LSTM) else states


def as_argument(states):
    return tuple(states) if len(states) > 1 else states[0]


def assert_same(found, expected, tolerance, where):
    assert list(found) == list(expected), where
    for key, value in expected.items():
        assert found[key].shape == value.shape, (where, key)
        assert found[key].dtype == value.dtype, (where, key)
        wanted, got = value.detach(), found[key].detach()
        bound = tolerance * max(float(wanted.abs().max()), 1.0)
        error = float((got - wanted).abs().max())
        assert error <= bound, (where, key, error, bound)


@pytest.mark.filterwarnings("ignore:LSTM with projections is not supported with oneDNN")
@pytest.mark.parametrize("name", MODULES)
@pytest.mark.parametrize("packed", [False, True])
def test_dropout_between_layers_draws_what_torch_draws(name, packed):
    # Dropout is applied to the same numbers in the same order, so one seed gives one result.
    # A packed batch is laid out otherwise, and only its distribution can be the same.
    ours_class, theirs_class, extra = MODULES[name]
    ours = ours_class(FEATURES, UNITS, num_layers=3, dropout=0.5, **extra)
    theirs = theirs_class(FEATURES, UNITS, num_layers=3, dropout=0.5, **extra)
    theirs.load_state_dict(ours.state_dict())
    x = torch.randn(STEPS, BATCH, FEATURES)
    if packed:
        x = pack_sequence(list(x.unbind(1)))
    outputs = []
    for module in (ours, theirs):
        torch.manual_seed(3)
        output = module(x)[0]
        outputs.append(output.data if packed else output)
    if not packed:
        torch.testing.assert_close(*outputs, rtol=1e-5, atol=1e-6)
    assert not torch.equal(outputs[0], ours.eval()(x)[0].data)
    torch.testing.assert_close(
        ours.eval()(x)[0].data, theirs.eval()(x)[0].data, rtol=1e-5, atol=1e-6
    )
