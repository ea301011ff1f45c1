"""The shortest way through a module gives what the long way gives, or is not taken."""

from __future__ import annotations

import copy
import pickle
import threading
from functools import partial

import pytest
import torch
from torch.nn.utils import parametrizations, prune
from torch.testing._internal.two_tensor import TwoTensor
from torch.utils.checkpoint import checkpoint

import cellwright as cw
from cellwright.errors import CellwrightWarning, ShapeError
from cellwright.nn.shortcut import Shortcut
from cellwright.nn.shortened import Shortened
from cellwright.nn.states import join_states

KINDS = {"LSTM": cw.LSTM, "GRU": cw.GRU, "RNN": cw.RNN}
OPTIONS = [
    {},
    {"num_layers": 3},
    {"batch_first": True},
    {"bias": False},
    {"num_layers": 2, "dropout": 0.5, "batch_first": True},
    {"proj_size": 3},
    {"bidirectional": True, "num_layers": 2},
]


@pytest.fixture
def taken(monkeypatch):
    """How often the short way was gone to its end."""
    taken = []
    call = Shortcut.run

    def counted(self, *arguments):
        taken.append(True)
        return call(self, *arguments)

    monkeypatch.setattr(Shortcut, "run", counted)
    return taken


def flat(result):
    output, states = result
    return [output, *(states if isinstance(states, tuple) else (states,))]


def long_way(net, x, state=None):
    """What the module gives without a look at its shortcuts."""
    if isinstance(net, cw.Recurrent):
        result = net.run(x, state)
        output = result.output.transpose(0, 1) if net.batch_first else result.output
        return by_name((output, join_states(result.states)))
    return net._forward(x, state)


def by_name(result):
    """The same of `Recurrent`, whose states are dictionaries."""
    output, states = result
    return output, tuple(value for layer in states for value in layer.values())


def equal(found, expected):
    found, expected = flat(found), flat(expected)
    assert [v.shape for v in found] == [v.shape for v in expected]
    return all(torch.equal(a, b) for a, b in zip(found, expected, strict=True))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("options", OPTIONS, ids=str)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_it_gives_the_same_to_the_bit(kind, options, dtype, taken):
    if "proj_size" in options and kind != "LSTM":
        pytest.skip("torch projects LSTMs only")
    net = KINDS[kind](5, 8, dtype=dtype, **options).eval()
    x = torch.randn(4, 6, 5, dtype=dtype)
    expected = long_way(net, x)
    with torch.no_grad():
        results = [net(x) for _ in range(3)]
    assert taken == [True, True]  # the first call of a shape finds the way
    assert all(equal(result, expected) for result in results)
    assert flat(results[1])[0].data_ptr() != flat(results[2])[0].data_ptr()


def test_it_sees_every_change_of_the_weights(taken):
    net, x = cw.LSTM(5, 8), torch.randn(4, 6, 5)

    def same():
        with torch.no_grad():
            found = net(x)
        assert equal(found, long_way(net, x))

    for _ in range(2):
        same()
    net.weight_hh_l0.data[0, 0] += 1
    same()
    with torch.no_grad():
        net.bias_ih_l0.mul_(2)
    same()
    net.weight_ih_l0 = torch.nn.Parameter(torch.randn(32, 5))
    same()
    net.weight_ih_l0 = torch.nn.Parameter(torch.randn(5, 32).T)  # not contiguous
    same()
    net.load_state_dict(cw.LSTM(5, 8).state_dict())
    same()
    assert taken == [True] * 5  # a way for the other layout had to be found


def test_weights_that_no_longer_fit_are_refused_as_ever(taken):
    net, x = cw.LSTM(5, 8), torch.randn(4, 6, 5)
    with torch.no_grad():
        net(x), net(x)
        net.double()
        with pytest.raises((ValueError, RuntimeError)):
            net(x)
        assert taken == [True]
        assert equal(net(x.double()), net(x.double()))


def test_ragged_rows_go_the_long_way(taken):
    net, x = cw.GRU(5, 8), torch.randn(4, 6, 5)
    with torch.no_grad():
        for _ in range(3):
            net(torch.nn.utils.rnn.pack_padded_sequence(x, [4, 4, 3, 3, 2, 1]))
    assert not taken


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("batch_first", [True, False])
@pytest.mark.parametrize("what", ["one sequence", "packed", "packed unsorted"])
def test_one_sequence_and_packed_full_rows_go_it_too(kind, batch_first, what, taken):
    net = KINDS[kind](5, 8, 2, batch_first=batch_first, bidirectional=True)
    peer = getattr(torch.nn, kind)(5, 8, 2, batch_first=batch_first, bidirectional=True)
    peer.load_state_dict(net.state_dict())
    if what == "one sequence":
        x = torch.randn(4, 5)
    else:
        lengths, sort = torch.tensor([4] * 6), what == "packed unsorted"
        rows = torch.randn(4, 6, 5)
        x = torch.nn.utils.rnn.pack_padded_sequence(rows, lengths, enforce_sorted=not sort)
        if sort:  # in which torch may well find another order than theirs
            order = torch.tensor([2, 0, 1, 5, 3, 4])
            x = x._replace(sorted_indices=order, unsorted_indices=order.argsort())
    state = states_for(net, x)[0]
    del taken[:]
    for given in (None, state):
        for _ in range(3):
            found, expected = net(x, given), peer(x, given)
            if what != "one sequence":
                assert torch.equal(found[0].batch_sizes, expected[0].batch_sizes)
                assert found[0].sorted_indices is x.sorted_indices
                found, expected = ((result[0].data, result[1]) for result in (found, expected))
            torch.testing.assert_close(flat(found), flat(expected))
    assert len(taken) >= 4


@pytest.mark.parametrize("shape", [(4, 3, 5, 2), (1, 2)])
def test_packed_rows_of_other_axes_are_refused(shape):
    lengths = torch.tensor([shape[0]] * shape[1])
    with pytest.raises((ValueError, RuntimeError)):
        cw.LSTM(2, 8)(torch.nn.utils.rnn.pack_padded_sequence(torch.randn(shape), lengths))


def test_whoever_looks_on_sees_the_operator(taken):
    from torch.utils.flop_counter import FlopCounterMode

    net, x = cw.LSTM(5, 8), torch.randn(4, 6, 5)
    with torch.no_grad():
        net(x), net(x)
        with FlopCounterMode(display=False):
            net(x)
        torch.vmap(net)(x.expand(2, *x.shape))
        with torch.autocast("cpu", torch.bfloat16):
            net(x.bfloat16())
    assert taken == [True]


def test_dropout_still_falls_in_training(taken):
    net, x = cw.LSTM(5, 8, num_layers=2, dropout=0.5), torch.randn(4, 6, 5)
    with torch.no_grad():
        assert not equal(net(x), net(x))
        net.eval()
        assert equal(net(x), net(x))
    assert taken == [True, True]  # one way for training, one for use


def test_another_backend_is_asked_for_in_between(taken):
    net, x = cw.LSTM(5, 8), torch.randn(4, 6, 5)
    with torch.no_grad():
        first = [net(x) for _ in range(2)]
        net.backend = "reference"
        for _ in range(2):
            torch.testing.assert_close(net(x), first[0])
    assert taken == [True]


def test_the_module_is_copied_and_stored_as_ever(taken):
    net, x = cw.LSTM(5, 8), torch.randn(4, 6, 5)
    with torch.no_grad():
        net(x)
        expected = net(x)
        for other in (copy.deepcopy(net), pickle.loads(pickle.dumps(net))):
            assert equal(other(x), expected)
            other.weight_hh_l0.add_(1)
            assert not equal(other(x), expected)
    assert equal(net(x), expected)


def test_hooks_and_parametrizations_count(taken):
    net, x = cw.LSTM(5, 8), torch.randn(4, 6, 5)
    parametrizations.weight_norm(net, "weight_hh_l0")
    with torch.no_grad():
        before = [net(x) for _ in range(2)][1]
        net.parametrizations.weight_hh_l0.original0.mul_(2)
        assert not equal(net(x), before)
    expected = long_way(net, x)
    with torch.no_grad():
        assert equal(net(x), expected)


def test_shapes_do_not_pile_up():
    net = cw.RNN(2, 3)
    with torch.no_grad():
        for _ in range(2):
            for steps in range(1, 400):
                net(torch.randn(steps, 1, 2))
            assert 0 < len(net._shortcuts) <= 256
    assert len(net._shortcuts._once) <= 256


def test_where_every_batch_has_another_shape_no_ways_are_made(monkeypatch, taken):
    made = []
    find = Shortened._find_shortcut
    monkeypatch.setattr(Shortened, "_find_shortcut", lambda *a: made.append(True) or find(*a))
    net = cw.GRU(2, 3)
    batches = [torch.randn(steps, 1, 2) for steps in range(1, 101)]
    for x in batches:
        assert equal(net(x), long_way(net, x))
    assert len(made) <= 16
    assert not taken
    for _ in range(2):  # whatever comes again is worth a way
        for x in batches:
            assert equal(net(x), long_way(net, x))
    assert len(made) == 100
    assert len(taken) == 16 + 100


def stacks():
    recurrent = partial(cw.Recurrent, input_size=5)
    yield "LSTM", partial(cw.LSTM, 5, 8, 2, batch_first=True)
    yield "GRU", partial(cw.GRU, 5, 8)
    yield "no bias", partial(cw.GRU, 5, 8, bias=False)
    for name in ("peephole_lstm", "clockwork", "gru_reset_before", "jordan", "min_gru"):
        sizes = {"output": 3} if name == "jordan" else None
        yield name, partial(recurrent, name, hidden_size=8, sizes=sizes)
    yield "two layers", partial(recurrent, "lstm", hidden_size=[8, 4], batch_first=False)
    yield "both ways", partial(cw.LSTM, 5, 8, 2, bidirectional=True)
    both = partial(recurrent, hidden_size=[8, 4], bidirectional=True)
    yield "GRU both ways", partial(both, "gru")
    yield "clockwork both ways", partial(both, "clockwork", batch_first=False)
    learned = partial(recurrent, hidden_size=8, learn_initial_state=True)
    yield "learned", partial(learned, "lstm")
    yield "learned both ways", partial(learned, "gru", bidirectional=True, batch_first=False)


STACKS = dict(stacks())


def loss_of(result):
    return sum((value * value).sum() for value in flat(result) if value.is_floating_point())


@pytest.mark.parametrize("name", STACKS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_it_learns_the_same_to_the_bit(name, dtype, taken):
    net = STACKS[name](dtype=dtype)
    x = torch.randn(4, 6, 5, dtype=dtype, requires_grad=True)
    leaves = [x, *net.parameters()]

    def gradients(run):
        result = run()
        result = by_name(result) if isinstance(result[1], list) else result
        return result, torch.autograd.grad(loss_of(result), leaves, allow_unused=True)

    expected, of_expected = gradients(lambda: long_way(net, x))
    for _ in range(3):
        found, of_found = gradients(lambda: net(x))
        assert equal(found, expected)
        for a, b in zip(of_found, of_expected, strict=True):
            assert (a is b is None) or torch.equal(a, b)
    assert taken == [True, True]


@pytest.mark.parametrize("name", ["GRU", "clockwork", "two layers"])
@pytest.mark.parametrize("frozen", ["input", "weights", "some weights"])
def test_only_gradients_that_are_wanted_come(name, frozen, taken):
    net, x = STACKS[name](), torch.randn(4, 6, 5, requires_grad=frozen != "input")
    for number, weight in enumerate(net.parameters()):
        weight.requires_grad_(frozen == "input" or (frozen == "some weights" and number % 2 == 0))
    leaves = [value for value in (x, *net.parameters()) if value.requires_grad]
    expected = torch.autograd.grad(loss_of((long_way(net, x)[0], ())), leaves)
    net(x)
    found = torch.autograd.grad(loss_of((net(x)[0], ())), leaves)
    assert all(map(torch.equal, found, expected))
    assert taken == [True]


def test_a_gradient_can_be_differentiated_too(taken):
    net = cw.LSTM(2, 3, batch_first=True, dtype=torch.float64)
    x = torch.randn(2, 3, 2, dtype=torch.float64, requires_grad=True)
    net(x)
    with pytest.warns(CellwrightWarning, match="gradients of gradients"):
        assert torch.autograd.gradgradcheck(lambda x: flat(net(x)), (x,))
    assert taken
    assert all(taken)


def test_it_can_be_learned_from_twice(taken):
    net, x = cw.GRU(5, 8), torch.randn(4, 6, 5)
    net(x)
    loss = loss_of(net(x))
    first = torch.autograd.grad(loss, list(net.parameters()), retain_graph=True)
    second = torch.autograd.grad(loss, list(net.parameters()))
    assert all(map(torch.equal, first, second))
    with pytest.raises(RuntimeError, match="second time"):
        loss.backward()
    assert taken == [True]


def test_a_weight_that_changed_before_the_gradient_is_noticed(taken):
    net, x = cw.GRU(5, 8), torch.randn(4, 6, 5)
    net(x)
    loss = loss_of(net(x))
    with torch.no_grad():
        net.weight_hh_l0.add_(1)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        loss.backward()
    assert taken == [True]


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_kept_passes_through_the_hooks_of_checkpoints(kind, taken):
    net, x = KINDS[kind](5, 8), torch.randn(4, 6, 5, requires_grad=True)
    state, _ = states_for(net, torch.randn(1, 6, 5))
    for given in (None, state):
        expected = torch.autograd.grad(loss_of(long_way(net, x, given)), x)[0]
        for _ in range(3):  # where the first call finds a way, what is computed again may not go it
            result = checkpoint(net, x, given, use_reentrant=False)
            assert torch.equal(torch.autograd.grad(loss_of(result), x)[0], expected)
        net(x, given), net(x, given)
    assert taken == [True] * 2
    packed = []
    with torch.autograd.graph.saved_tensors_hooks(lambda t: packed.append(t) or t, lambda t: t):
        loss = loss_of(net(x, given))
    assert packed
    assert torch.equal(torch.autograd.grad(loss, x)[0], expected)


def test_the_first_call_may_be_one_of_inference_mode(taken):
    net, x = cw.LSTM(5, 8), torch.randn(4, 6, 5)
    with torch.inference_mode():
        net(x), net(x)
    loss_of(net(x)).backward()
    assert net.weight_hh_l0.grad is not None
    assert taken == [True]


def test_dropout_between_layers_falls_as_on_the_long_way(taken):
    for net in (
        cw.GRU(5, 8, 3, dropout=0.5),
        cw.Recurrent("gru", 5, [8, 8], dropout=0.5, batch_first=False),
    ):
        x = torch.randn(4, 6, 5)
        net(x)
        torch.manual_seed(1)
        expected = long_way(net, x)[0]
        torch.manual_seed(1)
        assert torch.equal(net(x)[0], expected)
        assert not torch.equal(net(x)[0], expected)
    assert taken == [True] * 4


@pytest.mark.parametrize(
    "options",
    [
        {"zoneout": 0.1},
        {"recurrent_dropout": 0.1},
        {"weight_drop": 0.1},
        {"connections": "skip"},
        {"checkpoint_every": 2},
        {"dropout": 0.5, "dropout_per": "sequence"},
    ],
    ids=str,
)
def test_what_it_does_not_know_goes_the_long_way(options, taken):
    net, x = cw.Recurrent("gru", 5, [8, 8], **options), torch.randn(6, 4, 5)
    for _ in range(3):
        net(x)
    net(x, lengths=[4, 4, 1, 2, 3, 4])
    net(x, mask=torch.ones(6, 4, dtype=bool))
    assert not any(taken)


def test_steps_are_counted(taken):
    net = cw.Recurrent("clockwork", 5, 8)
    for lengths in (None, None, torch.tensor([7, 7, 7])):
        _, (state,) = net(torch.randn(3, 7, 5), lengths=lengths)
        assert state["t"].tolist() == [[7]] * 3
    assert taken == [True, True]


@pytest.mark.parametrize("batch_first", [True, False])
def test_lengths_of_rows_that_are_full_are_no_lengths(batch_first, taken):
    net = cw.Recurrent("gru", 5, 8, batch_first=batch_first, bidirectional=True)
    x = torch.randn(3, 7, 5) if batch_first else torch.randn(7, 3, 5)
    expected = long_way(net, x)
    for _ in range(3):
        assert equal(by_name(net(x, lengths=torch.tensor([7, 7, 7]))), expected)
    assert taken == [True, True]
    output, state = net.run(x, lengths=[7, 3, 7]).output, net(x, lengths=torch.tensor([7, 3, 7]))[1]
    assert not output[3:, 1].any()
    assert not equal((expected[0], state[0]["h"]), expected)
    assert taken == [True, True]


@pytest.mark.parametrize(
    "lengths",
    [
        torch.tensor([7, 7]),
        torch.tensor([[7], [7], [7]]),
        torch.tensor([7.0, 7.0, 7.0]),
        torch.tensor([8, 8, 8]),
        torch.tensor(7),
        [True, True, True],
        "777",
    ],
    ids=str,
)
def test_lengths_are_refused_as_ever(lengths, taken):
    net, x = cw.Recurrent("gru", 5, 8), torch.randn(3, 7, 5)
    for _ in range(2):
        net(x)
    with pytest.raises(ShapeError, match="lengths"):
        net(x, lengths=lengths)
    assert taken == [True]


def test_a_learned_state_is_looked_at_in_every_call(taken):
    net, x = cw.Recurrent("lstm", 5, 8, learn_initial_state=True), torch.randn(3, 7, 5)
    for number in range(4):
        net.layer0.initial_h.data += number
        assert equal(by_name(net(x)), long_way(net, x))
    parametrizations.weight_norm(net.layer0, "initial_c", dim=None)
    with torch.no_grad():
        net.layer0.parametrizations.initial_c.original1.fill_(1)
    for number in range(2, 5):
        with torch.no_grad():
            net.layer0.parametrizations.initial_c.original0.fill_(number)
        assert equal(by_name(net(x)), long_way(net, x))
    assert taken == [True] * 6
    net.layer0.initial_h = torch.nn.Parameter(torch.zeros(9))
    with pytest.raises(ShapeError, match="initial_h"):
        net(x)


def changed_in_place(weight, values):
    weight.data = values


CHANGES = {
    "a weight lies otherwise": lambda net: changed_in_place(
        net.layer0.z_h, net.layer0.z_h.detach().t()
    ),
    "a sign is to come": lambda net: changed_in_place(
        net.layer0.z_h, torch._neg_view(net.layer0.z_h.detach())
    ),
    "frozen": lambda net: net.layer0.z_h.requires_grad_(False),
    "all frozen": lambda net: net.requires_grad_(False),
    "another layer": lambda net: net._modules.update(layer0=cw.Recurrent("gru", 5, 8).layer0),
    "another weight": lambda net: setattr(net.layer0, "z_h", torch.nn.Parameter(torch.randn(8, 8))),
    "swapped": lambda net: torch.utils.swap_tensors(
        net.layer0.z_h, torch.nn.Parameter(torch.randn(8, 8))
    ),
    "assigned": lambda net: net.load_state_dict(
        cw.Recurrent("gru", 5, [8, 8]).state_dict(), assign=True
    ),
    "in another order": lambda net: net.layer0._parameters.update(
        z_h=net.layer0._parameters.pop("z_h")
    ),
    "parametrised": lambda net: parametrizations.weight_norm(net.layer0, "z_h"),
    "pruned": lambda net: prune.l1_unstructured(net.layer0, "z_h", 0.5),
    "residual": lambda net: setattr(net, "connections", "residual"),
    "in segments": lambda net: setattr(net, "checkpoint_every", 2),
    "another backend": lambda net: setattr(net, "backend", "reference"),
    "one thread": lambda _: torch.set_num_threads(1),
}


@pytest.mark.parametrize("change", CHANGES)
def test_nothing_that_changes_between_two_calls_is_missed(change, taken):
    net, x = cw.Recurrent("gru", 5, [8, 8], batch_first=False), torch.randn(4, 6, 5)
    threads = torch.get_num_threads()
    try:
        for _ in range(2):
            net(x)
        assert taken == [True]
        CHANGES[change](net)
        for _ in range(2):
            leaves = [weight for weight in net.parameters() if weight.requires_grad]
            results = []
            for result in (by_name(net(x)), long_way(net, x)):
                results.append([*flat(result)])
                if leaves:
                    results[-1] += torch.autograd.grad(loss_of(result), leaves)
            torch.testing.assert_close(*results)
            assert results[0][0].requires_grad == bool(leaves)
    finally:
        torch.set_num_threads(threads)


@pytest.mark.parametrize("option", [{"dropout": 0.5}, {"weight_drop": 0.5}], ids=str)
def test_an_option_that_is_set_later_counts_at_the_next_call(option):
    net, x = cw.Recurrent("gru", 5, [8, 8]), torch.randn(4, 6, 5)
    assert equal(by_name(net(x)), by_name(net(x)))
    for name, value in option.items():
        setattr(net, name, value)
    assert not equal(by_name(net(x)), by_name(net(x)))
    net.eval()
    assert equal(by_name(net(x)), by_name(net(x)))
    net.train()
    assert not equal(by_name(net(x)), by_name(net(x)))


def test_batches_of_several_shapes_take_turns(taken):
    net = cw.LSTM(5, 8, batch_first=True)
    batches = [torch.randn(*shape, 5) for shape in ((4, 6), (2, 3), (1, 7))]
    batches.append(torch.randn(6, 4, 5).transpose(0, 1))  # the first shape, laid out otherwise
    batches.append(torch.randn(4, 6, 5, requires_grad=True))
    for x in batches * 3:
        assert equal(net(x), long_way(net, x))
        assert net(x)[0].requires_grad
    assert taken == [True] * (len(batches) * 6 - len(batches))


def test_what_a_mode_does_at_the_first_call_does_not_stay(taken):
    net, x = cw.LSTM(5, 8), torch.randn(4, 6, 5)
    expected = long_way(net, x)
    with torch.autocast("cpu", torch.bfloat16):
        net(x)
    torch.vmap(lambda scale: net(x)[0] * scale)(torch.ones(2))
    with pytest.warns(CellwrightWarning, match=r"torch\.func"):
        torch.func.grad(lambda scale: (net(x)[0] * scale).sum())(torch.ones(()))
    assert equal(net(x), expected)
    assert not taken
    assert equal(net(x), expected)
    assert taken == [True]


class _Marked(torch.Tensor):
    """A kind of tensor that what is computed with it is of, too."""


@pytest.mark.parametrize("kind", [_Marked, lambda w: TwoTensor(w, w.clone())])
@pytest.mark.parametrize("when", ["before", "after"])
def test_weights_of_another_kind_are_seen_by_the_operator(kind, when, taken):
    net, x = cw.GRU(5, 8), torch.randn(4, 6, 5)
    if when == "after":
        net(x), net(x)
    taken.clear()
    net.weight_hh_l0 = torch.nn.Parameter(kind(net.weight_hh_l0.detach()))
    expected = type(net.weight_hh_l0)
    for _ in range(3):
        assert type(net(x)[0]) is expected
    assert not taken


@pytest.mark.filterwarnings("ignore:The PyTorch API of nested tensors")
@pytest.mark.parametrize("net", [cw.LSTM(5, 8), cw.Recurrent("gru", 5, 8)])
def test_a_batch_without_strides_is_refused(net, taken):
    net(torch.randn(2, 4, 5))
    with pytest.raises(RuntimeError):
        net(torch.nested.nested_tensor([torch.randn(4, 5), torch.randn(3, 5)]))
    assert not taken


def test_weights_that_are_computed_are_so_once_a_call(taken):
    net = cw.GRU(5, 8)
    parametrizations.spectral_norm(net, "weight_hh_l0")  # goes on with every computation
    other = copy.deepcopy(net)
    for steps in (4, 5, 4, 4, 5, 5):
        x = torch.randn(steps, 6, 5)
        assert equal(net(x), long_way(other, x))
    assert taken
    for _ in range(2):  # also where the way of the last call cannot be gone any more
        net.weight_ih_l0.requires_grad_(not net.weight_ih_l0.requires_grad)
        for _ in range(2):
            assert equal(net(x), long_way(other, x))


class _Doubled(torch.nn.Module):
    def forward(self, weight):
        return 2 * weight


class _Waiting(_Doubled):
    """Lets others go on while a thread that is not the first computes it."""

    def __init__(self):
        super().__init__()
        self.reached, self.goes_on = threading.Event(), threading.Event()

    def forward(self, weight):
        if threading.current_thread() is not threading.main_thread():
            self.reached.set()
            assert self.goes_on.wait(30)
        return super().forward(weight)


@pytest.mark.parametrize("kind", ["LSTM", "Recurrent"])
def test_a_weight_that_one_thread_computes_is_not_that_of_another(kind):
    net = cw.LSTM(5, 8) if kind == "LSTM" else cw.Recurrent("gru", 5, 8)
    module, names = (
        (net, ["weight_ih_l0", "weight_hh_l0"]) if kind == "LSTM" else (net.layer0, ["r_x", "r_h"])
    )
    for name, how in zip(names, (_Doubled(), _Waiting()), strict=True):
        torch.nn.utils.parametrize.register_parametrization(module, name, how)
    waiting = how

    def use():
        with torch.no_grad():
            net(torch.randn(4, 6, 5))

    thread = threading.Thread(target=use)
    thread.start()
    try:
        assert waiting.reached.wait(30)
        found = net(torch.randn(4, 6, 5))[0]
    finally:
        waiting.goes_on.set()
        thread.join()
    found.sum().backward()
    assert all(weight.grad is not None for weight in net.parameters())


def test_layers_that_come_and_go_count_at_the_next_call():
    net, x = cw.Recurrent("gru", 5, [8, 8], batch_first=False), torch.randn(4, 6, 5)
    net(x), net(x)
    net.add_module("layer0", cw.Recurrent("gru_reset_before", 5, 8).layer0)
    assert equal(by_name(net(x)), long_way(net, x))
    del net.layer1
    assert equal(by_name(net(x)), long_way(net, x))


def test_modes_and_tied_weights_do_not_make_ways_anew(monkeypatch):
    made = []
    find = Shortened._find_shortcut
    monkeypatch.setattr(Shortened, "_find_shortcut", lambda *a: made.append(True) or find(*a))
    x = torch.randn(4, 6, 5)
    for net in (cw.LSTM(5, 8), cw.Recurrent("gru", 5, [8, 8])):
        if isinstance(net, cw.Recurrent):
            net.layer1.z_h = net.layer0.z_h
        for _ in range(4):
            net(x)
            with torch.no_grad():
                net(x)
    assert len(made) == 4


def test_a_torch_without_guards_goes_the_long_way(monkeypatch, taken):
    monkeypatch.setattr("cellwright.nn.shortened._Guards", None)
    net, x = cw.LSTM(5, 8), torch.randn(4, 6, 5)
    for _ in range(3):
        assert equal(net(x), long_way(net, x))
    assert not taken


def test_a_way_is_for_so_many_threads(taken):
    net, x = cw.LSTM(5, 8), torch.randn(4, 6, 5)
    threads = torch.get_num_threads()
    try:
        for count, expected in ((2, 1), (1, 2), (2, 4)):
            torch.set_num_threads(count)
            for _ in range(2):
                net(x)
            assert len(taken) == expected
    finally:
        torch.set_num_threads(threads)


BEGUN = {name: STACKS[name] for name in STACKS if "clockwork" not in name}
BEGUN["projected"] = partial(cw.LSTM, 5, 8, proj_size=3)


def states_for(net, x, **options):
    """Random first states of a module, as it wants them, and their tensors."""
    _, state = net(x)
    draw = partial(torch.randn, dtype=x.data.dtype, **options)
    if isinstance(state, list):
        state = [{name: draw(v.shape) for name, v in layer.items()} for layer in state]
        return state, [value for layer in state for value in layer.values()]
    state = tuple(draw(v.shape) for v in state) if isinstance(state, tuple) else draw(state.shape)
    return state, list(state) if isinstance(state, tuple) else [state]


def named(result):
    return by_name(result) if isinstance(result[1], list) else result


@pytest.mark.parametrize("name", BEGUN)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_it_goes_on_from_given_states_to_the_bit(name, dtype, taken):
    net, x = BEGUN[name](dtype=dtype), torch.randn(4, 6, 5, dtype=dtype)
    state, tensors = states_for(net, x, requires_grad=True)
    leaves = [*tensors, *net.parameters()]
    del taken[:]

    def gradients(run):
        result = run()
        return result, torch.autograd.grad(loss_of(result), leaves, allow_unused=True)

    expected, of_expected = gradients(lambda: long_way(net, x, state))
    for _ in range(3):
        found, of_found = gradients(lambda: named(net(x, state)))
        assert equal(found, expected)
        for a, b in zip(of_found, of_expected, strict=True):
            assert (a is b is None) or torch.equal(a, b)
    assert taken == [True, True]
    del taken[:]
    with torch.no_grad():
        for _ in range(2):
            assert equal(named(net(x, state)), expected)
    assert taken


@pytest.mark.parametrize("name", ["GRU", "LSTM", "peephole_lstm", "two layers"])
def test_a_long_sequence_may_come_in_pieces(name, taken):
    net = STACKS[name](dtype=torch.float64)
    axis = 1 if net.batch_first else 0
    x = torch.randn(*((6, 40) if axis else (40, 6)), 5, dtype=torch.float64)
    whole = named(net(x))
    state, pieces = None, []
    for piece in x.split(4, axis):
        y, state = net(piece, state)
        pieces.append(y)
    found = torch.cat(pieces, axis), named((y, state))[1]
    torch.testing.assert_close(flat(found), flat(whole))
    wanted = [
        torch.autograd.grad(loss_of(result), list(net.parameters())) for result in (found, whole)
    ]
    torch.testing.assert_close(*wanted)
    assert len(taken) == 8  # but for the first piece of all and the first that goes on
    state = None
    with torch.inference_mode():
        for piece in x.split(4, axis):
            y, state = net(piece, state)
    torch.testing.assert_close(flat(named((y, state)))[1:], flat(whole)[1:])


@pytest.mark.parametrize("wanted", [0, 1])
def test_a_state_alone_may_want_a_gradient(wanted, taken):
    net, x = cw.LSTM(5, 8).requires_grad_(False), torch.randn(4, 6, 5)
    state, tensors = states_for(net, x)
    tensors[wanted].requires_grad_()
    expected = torch.autograd.grad(loss_of(long_way(net, x, state)), tensors[wanted])
    for _ in range(2):
        found = torch.autograd.grad(loss_of(net(x, state)), tensors[wanted])
        assert torch.equal(found[0], expected[0])
    assert taken == [True]


@pytest.mark.filterwarnings("ignore::cellwright.errors.CellwrightWarning")
@pytest.mark.parametrize("layers", [1, 2])
def test_gradients_of_states_can_be_differentiated_too(layers, taken):
    net = cw.LSTM(2, 3, layers, dtype=torch.float64)
    x = torch.randn(2, 3, 2, dtype=torch.float64, requires_grad=True)
    (h, c), _ = states_for(net, x, requires_grad=True)
    net(x, (h, c))
    assert torch.autograd.gradgradcheck(lambda x, h, c: flat(net(x, (h, c))), (x, h, c))
    assert len(taken) > 2
    many = torch.autograd.grad(
        net(x, (h, c))[0].sum(0).sum(0),
        (h, c),
        torch.eye(3, dtype=torch.float64),
        is_grads_batched=True,
    )
    assert [value.shape for value in many] == [(3, layers, 3, 3)] * 2
    one = torch.autograd.grad(net(x, (h, c))[0][..., 1].sum(), (h, c))
    for value, expected in zip(many, one, strict=True):
        torch.testing.assert_close(value[1], expected)
    after = net(x, (h, c))[1][1]
    one = torch.autograd.grad(after.sum(), x, retain_graph=True)[0]
    coming = torch.ones_like(after).expand(2, *after.shape)
    many = torch.autograd.grad(after, x, coming, is_grads_batched=True)[0]
    torch.testing.assert_close(many, torch.stack([one, one]))


LAID = {
    "expanded": lambda v: v[:, :1].expand(-1, 6, -1),
    "transposed": lambda v: v.transpose(0, 2).contiguous().transpose(0, 2),
    "a sign to come": torch._neg_view,
    "in between": lambda v: torch.stack([v, v], -1)[..., 0],
}


@pytest.mark.parametrize("laid", LAID)
def test_states_may_lie_in_any_way(laid, taken):
    net, x = cw.LSTM(5, 8, 2), torch.randn(4, 6, 5)
    (h, c), _ = states_for(net, x)
    state = h, LAID[laid](c)
    for _ in range(2):
        for each in ((h, c), state):
            assert equal(net(x, each), long_way(net, x, each))
    assert len(taken) == 2


def test_states_that_do_not_fit_are_refused_as_ever():
    net, x = cw.Recurrent("lstm", 5, [8, 8]), torch.randn(4, 6, 5)
    state, _ = states_for(net, x)
    net(x, state), net(x, state)
    one, two = state
    net(x), net(x)
    for wrong in (
        [],
        [one],
        [one, two, two],
        [one, {"h": two["h"]}],
        [one, two | {"t": torch.zeros(4, 1, dtype=torch.int64)}],
        [one, {"h": two["h"], "m": two["c"]}],
        [one, {"h": two["h"], "c": two["c"].double()}],
        [one, {"h": two["h"], "c": two["c"][:2]}],
        [one, {"h": two["h"], "c": None}],
        [one, two["h"]],
        {0: one, 1: two},
    ):
        with pytest.raises(cw.errors.ShapeError, match="state"):
            net(x, wrong)
    drop_in = cw.LSTM(5, 8)
    h = torch.zeros(1, 6, 8)
    drop_in(x), drop_in(x), drop_in(x, (h, h)), drop_in(x, (h, h))
    for wrong in (h, (), (h,), (h, h, h), (h, None), (h, h[0]), (h, h.double()), {"h": h}):
        with pytest.raises((ValueError, RuntimeError)):
            drop_in(x, wrong)
    assert equal(drop_in(x, [h, h]), drop_in(x))
    drop_in = cw.GRU(5, 8)
    drop_in(x), drop_in(x), drop_in(x, h), drop_in(x, h)
    for wrong in ((), (h,), (h, h)):
        with pytest.raises(ShapeError, match="state h: expected a tensor, got tuple"):
            drop_in(x, wrong)


def test_steps_that_lie_behind_are_counted(taken):
    net, x = cw.Recurrent("clockwork", 5, 8), torch.randn(3, 9, 5)
    whole, _ = net(x)
    state, pieces = None, []
    for piece in x.split(3, 1):
        y, state = net(piece, state)
        pieces.append(y)
    torch.testing.assert_close(torch.cat(pieces, 1), whole)
    assert state[0]["t"].tolist() == [[9]] * 3
    assert not taken  # the first call of a shape finds the way, and counted states never go it


def test_one_tensor_may_be_both_states_or_two_weights(taken):
    x, zeros = torch.randn(4, 6, 5), torch.zeros(1, 6, 8)
    net = cw.LSTM(5, 8)
    for _ in range(3):
        assert equal(net(x, (zeros, zeros)), long_way(net, x))
    assert taken == [True, True]
    tied = cw.Recurrent("gru", 5, 8)
    tied.layer0.z_h = tied.layer0.r_h
    for _ in range(3):
        assert equal(by_name(tied(x)), long_way(tied, x))
