"""What users do to a module that is not in its manual: it is right, or it says what is wrong."""

import copy

import pytest
import torch
import torch.nn.utils.prune
import torch.utils.checkpoint
from torch import nn
from torch.nn.utils.rnn import pack_sequence

import cellwright as cw
from cellwright.errors import CellwrightWarning, SettingError, ShapeError


def with_torchs_weights(kind, *sizes, **options):
    """Ours and torch's."""
    theirs = getattr(nn, kind)(*sizes, **options)
    ours = getattr(cw, kind)(*sizes, **options)
    ours.load_state_dict(theirs.state_dict())
    return ours.to(torch.float64), theirs.to(torch.float64)


@pytest.mark.parametrize(
    "wrong",
    [torch.zeros(4, 4), torch.zeros(32, 8).double(), torch.zeros(32, 8).half()],
    ids=["shape", "double", "half"],
)
def test_a_weight_that_does_not_fit_is_refused(wrong):
    x = torch.randn(5, 2, 3)
    net = cw.LSTM(3, 8)
    net(x)
    net.weight_hh_l0 = nn.Parameter(wrong)
    with pytest.raises(ShapeError, match=r"weight i_h.*expected \(32, 8\) of torch.float32 on cpu"):
        net(x)
    with pytest.raises(ShapeError, match="expected"):
        net.stream()


def test_a_weight_that_was_never_filled_is_refused():
    with torch.device("meta"):
        net = cw.Recurrent("gru", 3, 8)
    known = cw.Recurrent("gru", 3, 8).state_dict()
    known.pop(list(known)[-1])
    net.load_state_dict(known, strict=False, assign=True)
    with pytest.raises(ShapeError, match="on cpu, got .* on meta"):
        net(torch.randn(2, 5, 3))


@pytest.mark.parametrize("given", [{}, {"lengths": [3, 5]}, {"mask": torch.eye(2, 5).bool()}])
def test_the_default_device_is_another_one(given):
    net, x = cw.Recurrent("clockwork", 3, 8), torch.randn(2, 5, 3)
    expected, after = net(x, **given)
    other = copy.deepcopy(net)
    with torch.device("meta"):
        for _ in range(2):  # the long way and the shortest one
            found, state = other(x, **given)
            assert torch.equal(found, expected)
            assert torch.equal(state[0]["t"], after[0]["t"])
        stream = other.stream(2)
        for step in range(5):
            out = stream.step(x[:, step])
    if not given:
        torch.testing.assert_close(out, expected[:, -1])


def test_an_attribute_that_is_changed_between_two_calls_is_obeyed():
    ours, theirs = with_torchs_weights("LSTM", 3, 8)
    x = torch.randn(5, 2, 3, dtype=torch.float64)
    ours(x), ours(x)
    ours.batch_first = theirs.batch_first = True
    torch.testing.assert_close(ours(x)[0], theirs(x)[0])
    net = cw.Recurrent("gru", 8, [8, 8])
    x = torch.randn(2, 5, 8)
    plain = net(x)[0]
    net.connections = "residual"
    assert not torch.equal(net(x)[0], plain)
    torch.testing.assert_close(net(x)[0], net(x, lengths=[5, 5])[0])


def test_autograd_learns_that_a_stream_writes_over_its_output():
    stream, head = cw.LSTM(3, 8).stream(2), nn.Linear(8, 1)
    loss = sum(head(stream.step(torch.randn(2, 3))).sum() for _ in range(2))
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        loss.backward()
    loss = sum(head(stream.step(torch.randn(2, 3)).clone()).sum() for _ in range(2))
    loss.backward()


@pytest.mark.parametrize("connections", ["none", "residual"])
@pytest.mark.parametrize("backend", ["auto", "reference"])
def test_a_stream_that_was_opened_for_inference_goes_on_outside(backend, connections):
    net = cw.Recurrent("gru", 8, [8, 8], backend=backend, connections=connections)
    x = torch.randn(2, 5, 8)
    with torch.inference_mode():
        stream = net.stream(2)
        stream.step(x[:, 0])
        stream.reset()
    expected = net(x)[0]
    torch.testing.assert_close(stream.steps(x), expected)
    stream.reset()
    for step in range(5):
        found = stream.step(x[:, step])
    torch.testing.assert_close(found, expected[:, -1])


def test_a_view_may_have_another_sign_than_its_memory():
    net = cw.Recurrent("gru", 1, 8)
    plain = torch.randn(1, 1, 1)
    turned = torch.complex(plain, -plain).conj().imag
    assert turned.is_neg()
    assert turned.is_contiguous()
    torch.testing.assert_close(net(turned)[0], net(plain)[0])
    torch.testing.assert_close(net.stream().step(turned[0]), net.stream().step(plain[0]))


@pytest.mark.parametrize("options", [{}, {"bidirectional": True}], ids=str)
def test_many_gradients_come_in_at_once(options):
    ours, theirs = with_torchs_weights("LSTM", 3, 4, **options)
    x = torch.randn(3, 2, 3, dtype=torch.float64, requires_grad=True)
    for _ in range(2):
        many = torch.randn(5, *theirs(x)[0].shape, dtype=torch.float64)
        found, expected = (
            torch.autograd.grad(net(x)[0], [x, *net.parameters()], many, is_grads_batched=True)
            for net in (ours, theirs)
        )
        for one, other in zip(found, expected, strict=True):
            torch.testing.assert_close(one, other)


def test_packed_batches_keep_the_dtype_of_the_weights_under_autocast():
    net = cw.GRU(3, 8)
    rows = [torch.randn(5, 3), torch.randn(2, 3)]
    with torch.autocast("cpu", torch.bfloat16):
        packed = pack_sequence([row.bfloat16() for row in rows])
        output, last = net(packed, torch.zeros(1, 2, 8))
        whole = net.run(rows[0].bfloat16().unsqueeze(1)).output
    assert output.data.dtype == last.dtype == whole.dtype == torch.float32


def test_segments_are_left_out_where_somebody_looks_on():
    net = cw.Recurrent("gru", 3, 8, checkpoint_every=2)
    x = torch.randn(2, 7, 3, requires_grad=True)
    plain = copy.deepcopy(net)
    plain.checkpoint_every = None
    expected = torch.autograd.grad(plain(x)[0].sum(), x)[0]
    with pytest.warns(CellwrightWarning):
        found = torch.func.grad(lambda x: net(x)[0].sum())(x)
    torch.testing.assert_close(found, expected)
    compiled = torch.compile(net, fullgraph=True, backend="eager")
    torch.testing.assert_close(torch.autograd.grad(compiled(x)[0].sum(), x)[0], expected)


class Doubled(nn.Module):
    """A weight is what this makes of another; it counts how often it is asked."""

    asked = 0

    def forward(self, weight):
        type(self).asked += 1
        return 2 * weight


@pytest.mark.parametrize("backend", ["cpu", "reference"])
@pytest.mark.parametrize("bidirectional", [False, True])
def test_a_weight_that_is_computed_is_so_once_a_call(backend, bidirectional):
    net = cw.Recurrent("lstm", 3, 4, backend=backend, bidirectional=bidirectional)
    nn.utils.parametrize.register_parametrization(net.layer0, "f_h", Doubled())
    x = torch.randn(2, 5, 3)
    for _ in range(3):
        Doubled.asked = 0
        net(x)
        assert Doubled.asked == 1
    theirs = cw.LSTM(3, 4)
    nn.utils.parametrize.register_parametrization(theirs, "weight_hh_l0", Doubled())
    for _ in range(3):
        Doubled.asked = 0
        theirs(x)
        assert Doubled.asked == 1


@pytest.mark.parametrize("prepare", ["l1_unstructured", "weight_norm"])
def test_weights_that_are_computed_in_hooks_are_learned_and_loaded(prepare):
    def made():
        net = cw.Recurrent("lstm", 3, 4)
        if prepare == "weight_norm":
            with pytest.warns(FutureWarning):
                nn.utils.weight_norm(net.layer0, "f_h")
        else:
            nn.utils.prune.l1_unstructured(net.layer0, "f_h", amount=0.5)
        return net

    net, x = made(), torch.randn(2, 5, 3)
    descent = torch.optim.SGD(net.parameters(), lr=0.1)
    for _ in range(3):
        descent.zero_grad()
        net(x)[0].square().sum().backward()
        descent.step()
    other = made()
    other(x)
    other.load_state_dict(net.state_dict())
    assert torch.equal(other(x)[0], net(x)[0])
    assert torch.equal(other.stream(2).steps(x), net.stream(2).steps(x))


@pytest.mark.parametrize("cell", ["lstm", "clockwork"])
def test_saved_tensors_may_come_back_in_another_order_of_memory(cell):
    net = cw.Recurrent(cell, 3, 8)
    x = torch.randn(2, 5, 3, requires_grad=True)
    expected = torch.autograd.grad(net(x)[0].square().sum(), x)[0]

    def turned(tensor):
        return tensor.transpose(0, -1).contiguous().transpose(0, -1) if tensor.dim() > 1 else tensor

    with torch.autograd.graph.saved_tensors_hooks(turned, lambda tensor: tensor):
        loss = net(x)[0].square().sum()
    torch.testing.assert_close(torch.autograd.grad(loss, x)[0], expected)
    with torch.autograd.graph.saved_tensors_hooks(lambda t: t, lambda t: t.half()):
        y = net(x)[0]
    with pytest.raises(RuntimeError, match="a hook of saved tensors gave back"):
        torch.autograd.grad(y, x, torch.ones_like(y))


def test_what_is_checkpointed_may_have_a_clock():
    net = cw.Recurrent("clockwork", 3, 8)
    x = torch.randn(2, 5, 3, requires_grad=True)
    y = torch.utils.checkpoint.checkpoint(lambda x: net(x)[0], x, use_reentrant=False)
    found = torch.autograd.grad(y.sum(), x)[0]
    torch.testing.assert_close(found, torch.autograd.grad(net(x)[0].sum(), x)[0])


def test_batched_gradients_through_segments():
    x = torch.randn(2, 5, 3, requires_grad=True)
    net = cw.Recurrent("lstm", 3, 4)
    other = cw.Recurrent("lstm", 3, 4, checkpoint_every=2)
    other.load_state_dict(net.state_dict())
    many = torch.randn(7, 2, 5, 4)
    one, two = (torch.autograd.grad(m(x)[0], x, many, is_grads_batched=True) for m in (net, other))
    torch.testing.assert_close(one, two)


def test_a_negated_view_for_a_weight():
    net, x = cw.Recurrent("elman", 3, 4), torch.randn(2, 5, 3)
    weights = {name: torch._neg_view(-w.detach()) for name, w in net.named_parameters()}
    expected = net(x)[0]
    for _ in range(2):
        found = torch.func.functional_call(net, weights, (x,))[0]
        torch.testing.assert_close(found, expected)


def test_layers_of_other_sizes_cannot_share_an_input():
    @cw.cell(state="h", inputs={"seen": "input"})
    def masked(x, h, seen):
        h = cw.tanh(cw.affine("h", x * seen, h))
        return h

    with pytest.raises(SettingError, match="reads the input 'seen' in every layer.*got 3 below 8"):
        cw.Recurrent(masked, 3, [8, 8])
    cw.Recurrent(masked, 8, [8, 5])


def test_autocast_widens_numbers_and_nothing_else():
    net, x = cw.Recurrent("gru", 3, 4), torch.randn(2, 5, 3)
    state = [{"h": torch.randn(2, 4)}]
    narrow = [{"h": state[0]["h"].bfloat16()}]
    with torch.autocast("cpu", torch.bfloat16):
        found = net(x.bfloat16(), narrow)[0]
        reference = cw.Recurrent("gru", 3, 4, backend="reference")
        reference.load_state_dict(net.state_dict())
        torch.testing.assert_close(reference(x)[0], net(x)[0])
        with pytest.raises(ShapeError, match="got torch.int64"):
            net(x.long())
    wide = [{"h": narrow[0]["h"].float()}]
    torch.testing.assert_close(found, net(x.bfloat16().float(), wide)[0])


def test_a_rare_draw_in_half_precision():
    net = cw.Recurrent("elman", 3, 100, zoneout=0.999, dtype=torch.bfloat16)
    y = net(torch.ones(50, 20, 3, dtype=torch.bfloat16))[0]
    assert bool((y != 0).any())  # one unit in a thousand has left its first state


@cw.cell(state=("h", "c"))
def swapped(x, h, c):
    h, c = c, h
    return h, c


@cw.cell(state=("h", "c"))
def as_given(x, h, c):
    h = x
    return h, c


@pytest.mark.parametrize("backend", ["cpu", "reference"])
@pytest.mark.parametrize("cell", [swapped, as_given])
@pytest.mark.parametrize("steps", [0, 1])
def test_who_writes_into_a_state_changes_nothing_else(backend, cell, steps):
    net = cw.Recurrent(cell, 4, 4, backend=backend)
    x = torch.randn(2, steps, 4)
    given = [{name: torch.randn(2, 4) for name in "hc"}]
    before = copy.deepcopy([x, given])
    _, (after,) = net(x, given)
    for value in after.values():
        value.fill_(7.0)
    assert torch.equal(x, before[0])
    assert all(torch.equal(given[0][name], before[1][0][name]) for name in "hc")


@pytest.mark.parametrize("backend", ["cpu", "reference"])
@pytest.mark.parametrize("lengths", [None, [0]])
def test_who_writes_into_a_state_changes_no_weight(backend, lengths):
    net = cw.Recurrent("gru", 3, 4, learn_initial_state=True, backend=backend)
    with torch.no_grad():
        _, state = net(torch.randn(1, 3 if lengths else 0, 3), lengths=lengths)
        state[0]["h"].fill_(7.0)
    assert not net.layer0.initial_h.any()


@pytest.mark.filterwarnings("ignore:The PyTorch API of nested tensors")
@pytest.mark.parametrize("net", [cw.Recurrent("lstm", 3, 4), cw.LSTM(3, 4)], ids=["own", "drop-in"])
def test_an_input_that_is_not_dense_or_not_here_is_named(net):
    x = torch.randn(2, 5, 3)
    nested = torch.nested.nested_tensor([x[0], x[1, :2]])
    for _ in range(3):
        with pytest.raises(ShapeError, match="expected a dense tensor, got one of torch.sparse"):
            net(x.to_sparse())
        with pytest.raises(ShapeError, match="expected a dense tensor, got a nested one"):
            net(nested)
        with pytest.raises(ShapeError, match="(x|input): expected .* on cpu.*, got .* on meta"):
            net(x.to("meta"))
        net(x)


@pytest.mark.parametrize("kind", ["uint8", "uint16", "uint32", "uint64", "int8"])
def test_lengths_of_every_whole_type(kind):
    net, x = cw.Recurrent("lstm", 3, 4), torch.randn(2, 5, 3)
    lengths = torch.tensor([5, 2], dtype=getattr(torch, kind))
    assert torch.equal(net(x, lengths=lengths)[0], net(x, lengths=[5, 2])[0])


def test_a_batch_without_rows_has_no_lengths():
    assert cw.Recurrent("lstm", 3, 4)(torch.randn(0, 5, 3), lengths=[])[0].shape == (0, 5, 4)
