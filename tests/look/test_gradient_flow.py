"""How far back a gradient reaches: against torch's own Jacobians, and the carousel."""

import pytest
import torch

import cellwright as cw
from cellwright.errors import ArgumentError, SettingError, ShapeError

close = torch.testing.assert_close


@pytest.fixture(autouse=True)
def _same_numbers():
    torch.manual_seed(0)


def network(cell="lstm", units=(3, 4), **options):
    options = {"dtype": torch.float64, "backend": "reference", **options}
    return cw.Recurrent(cell, 2, units, **options)


def batch(rows=3, steps=6):
    return torch.randn(rows, steps, 2, dtype=torch.float64)


def signs(net, rows, seed=0):
    """The signs that the measure draws."""
    random = torch.Generator().manual_seed(seed)
    return 2 * torch.randint(2, (rows, net.output_size), generator=random).double() - 1


def state_at(net, x, step):
    """The states after so many steps."""
    start = [{k: v.new_zeros(len(x), *v.shape[1:]) for k, v in s.items()} for s in net(x)[1]]
    return net(x[:, :step], start)[1]


def last_by_lag(net, x, lag, v):
    """The gradient of the last output by the states `lag` steps back, by running on from them."""
    steps = x.shape[1]
    state = state_at(net, x, steps - lag)
    leaves = [{k: s.detach().requires_grad_() for k, s in layer.items()} for layer in state]
    flat = [leaf for layer in leaves for leaf in layer.values()]
    y, _ = net(x[:, steps - lag :], leaves)
    found = torch.autograd.grad((y[:, -1] * v).sum(), flat, allow_unused=True)
    numbers = iter(found)
    return [{k: next(numbers) for k in layer} for layer in leaves]


@pytest.mark.parametrize("cell", ["elman", "gru", "lstm", "peephole_lstm"])
def test_in_one_layer_it_is_what_running_on_from_a_state_gives(cell):
    # Running on from the last states but one differs from the total derivative only in what the
    # output of that step itself does within the layers above; one layer has none.
    net, x = network(cell, (4,)), batch()
    v = signs(net, 3)
    flow = cw.gradient_flow(net, x)[0]
    for lag in range(1, 6):
        (wanted,) = last_by_lag(net, x, lag, v)
        # The total derivative by c goes through the h of the same step as well.
        tape = cw.record(net, x)[0]
        if "c" in wanted:
            at = 5 - lag
            slope = tape["o"][:, at] * (1 - tape["c"][:, at].tanh() ** 2)
            if cell == "peephole_lstm":
                o, peep = tape["o"][:, at], net.layer0.o_peep.detach()
                slope = slope + tape["c"][:, at].tanh() * o * (1 - o) * peep
            wanted["c"] = wanted["c"] + wanted["h"] * slope
        for name, gradient in wanted.items():
            close(flow[name][:, lag], gradient.norm(dim=1) / 2)
    close(flow["h"][:, 0], torch.ones(3).double())


def test_through_layers_it_is_the_total_derivative():
    net, x = network("gru", (3, 4), connections="skip"), batch()
    v = signs(net, 3)
    flow = cw.gradient_flow(net, x)
    # A zero is added to what the lower layer gives at one step, by hand.
    lower = cw.Recurrent("gru", 2, 3, dtype=torch.float64, backend="reference")
    upper = cw.Recurrent("gru", 5, 4, dtype=torch.float64, backend="reference")
    for number, layer in enumerate((lower, upper)):
        own = {k: w for k, w in net.state_dict().items() if k.startswith(f"layer{number}")}
        layer.load_state_dict({k.replace(f"layer{number}", "layer0"): w for k, w in own.items()})
    for lag in range(6):
        probe = torch.zeros(3, 3, dtype=torch.float64, requires_grad=True)
        at = 6 - lag
        first, state = lower(x[:, :at])
        last = first[:, -1:] + probe.unsqueeze(1)
        parts = [first[:, :-1], last]
        if at < 6:
            parts.append(lower(x[:, at:], [{"h": state[0]["h"] + probe}])[0])
        y, _ = upper(torch.cat([torch.cat(parts, 1), x], 2))
        (wanted,) = torch.autograd.grad((y[:, -1] * v).sum(), [probe])
        close(flow[0]["h"][:, lag], wanted.norm(dim=1) / 2)


def test_its_square_estimates_that_of_the_jacobian():
    net = network("elman", (4,))
    x = torch.randn(1, 5, 2, dtype=torch.float64)
    state = state_at(net, x, 2)[0]["h"]

    def last(h):
        return net(x[:, 2:], [{"h": h}])[0][0, -1]

    jacobian = torch.autograd.functional.jacobian(last, state)[:, 0]
    found = torch.stack([cw.gradient_flow(net, x, seed=seed)[0]["h"][0, 3] for seed in range(400)])
    wanted = jacobian.square().sum() / 4
    assert abs(float(found.square().mean() / wanted) - 1) < 0.1


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_the_constant_error_carousel(dtype):
    net = cw.Recurrent("lstm", 2, 5, dtype=dtype)
    with torch.no_grad():
        net.layer0.f_bias.fill_(1000.0)  # the forget gate is 1
    x = torch.randn(2, 1001, 2, dtype=dtype)
    flow = cw.gradient_flow(net, x, along="c")
    assert list(flow[0]) == ["c"]
    assert flow[0]["c"].shape == (2, 1001)
    assert bool((flow[0]["c"] == 1).all())
    # All ways together are another matter.
    assert not bool((cw.gradient_flow(net, x[:, :50], of="c")[0]["c"] == 1).all())


@pytest.mark.parametrize("cell", ["peephole_lstm", "sru"])
def test_along_a_state_it_is_the_product_of_the_gates(cell):
    # What an SRU says has a straight way from its memory, too; the layer above must not count.
    net, x = network(cell, (4, 3)), batch()
    flow, tape = cw.gradient_flow(net, x, along="c"), cw.record(net, x)
    for layer in range(2):
        gates = tape[layer]["f"].flip(1)
        kept = torch.cat([torch.ones_like(gates[:, :1]), gates.cumprod(1)[:, :-1]], 1)
        close(flow[layer]["c"], kept.norm(dim=2) / kept.shape[2] ** 0.5)


def test_rows_end_where_they_end():
    net, x = network(bidirectional=True), batch()
    lengths = [6, 4, 0]
    for options in ({}, {"of": "c"}, {"along": "c"}):
        flow = cw.gradient_flow(net, x, lengths=lengths, **options)
        for row, length in enumerate(lengths):
            signed = flow[0]["c"][row]
            assert bool(signed[length:].isnan().all())
            assert bool(signed[:length].isfinite().all())
    gates = cw.record(net, x, lengths=lengths)[1]["f"][1]
    forward, back = gates[1:4, 0].flip(0).cumprod(0), gates[:3, 1].cumprod(0)
    flow = cw.gradient_flow(net, x, lengths=lengths, along="c")[1]["c"][1]
    close(flow[1:4, 0], forward.norm(dim=1) / 2)
    close(flow[1:4, 1], back.norm(dim=1) / 2)
    assert flow.shape == (6, 2)


def test_it_starts_from_a_state_and_takes_learned_ones():
    net, x = network(learn_initial_state=True), batch()
    _, state = net(x)
    other = cw.gradient_flow(net, x, state)[0]["c"]
    assert not torch.equal(other, cw.gradient_flow(net, x)[0]["c"])


def test_of_a_state_of_the_last_layer():
    net, x = network(), batch()
    flow = cw.gradient_flow(net, x, of="c")
    close(flow[1]["c"][:, 0], torch.ones(3).double())
    close(flow[1]["h"][:, 0], torch.zeros(3).double())


@pytest.mark.parametrize(
    ("cell", "options"),
    [
        ("elman", {}),
        pytest.param("lstm", {}, marks=pytest.mark.slow),
        pytest.param("lstm", {"along": "c"}, marks=pytest.mark.slow),
    ],
)
def test_every_backend_says_the_same(cell, options):
    net, x = network(cell, (3, 4)), batch()
    reference = cw.gradient_flow(net, x, lengths=[6, 2, 4], **options)
    compiled = cw.gradient_flow(net, x, lengths=[6, 2, 4], backend="cpu", **options)
    for layer, other in zip(reference, compiled, strict=True):
        for name, numbers in layer.items():
            close(other[name], numbers, equal_nan=True)


def test_cells_with_everything():
    @cw.cell(state=("h", "a", "b"), inputs={"gap": 1})
    def alike(x, h, a, b, gap, a_below, t):
        """Two states that become the same value, one that is an old one, the layer below."""
        n = cw.where(t % 2 < 1, cw.tanh(cw.affine("n", x, a) + h - 0.5 * b + a_below), h) * gap
        return n, n, a

    net, x = network(alike, (3, 3)), batch()
    gap = torch.rand(3, 6, 1, dtype=torch.float64)
    flow = cw.gradient_flow(net, x, gap=gap)
    close(flow[0]["h"], flow[0]["a"])
    # At step 5 nothing is read of b, which is what a was before; at step 4 it is.
    assert not flow[1]["b"][:, 1].any()
    assert bool(flow[1]["b"][:, 2].gt(0).all())


@pytest.mark.parametrize("training", [True, False])
def test_the_network_is_left_as_it_was(training):
    net = network(zoneout=0.5, weight_drop=0.5, dropout=0.5, checkpoint_every=2).train(training)
    x = batch()
    first, again = cw.gradient_flow(net, x), cw.gradient_flow(net, x)
    assert torch.equal(first[0]["c"], again[0]["c"])
    assert all(module.training is training for module in net.modules())
    assert all(weight.grad is None for weight in net.parameters())
    with torch.no_grad():
        assert torch.equal(cw.gradient_flow(net, x)[0]["c"], first[0]["c"])


def test_what_cannot_be_measured_is_told_why():
    net, x = network(), batch()
    with pytest.raises(ArgumentError, match=r"takes a Recurrent, not a LSTM.*network_\.recurrent"):
        cw.gradient_flow(cw.LSTM(2, 3), x)
    with pytest.raises(SettingError, match="of='m': cell 'lstm' has the states h, c"):
        cw.gradient_flow(net, x, of="m")
    with pytest.raises(SettingError, match="h of cell 'lstm' reaches its next value.*; c has one"):
        cw.gradient_flow(net, x, along="h")
    with pytest.raises(SettingError, match="either of= or along="):
        cw.gradient_flow(net, x, of="c", along="c")
    with pytest.raises(ShapeError, match="no step"):
        cw.gradient_flow(net, x[:, :0])
