"""Stacks of any cell: shapes, states, ragged input, regularisers, errors."""

import copy
import math
import pickle

import pytest
import torch
from some_cells import own_sizes, recurrent_dropout, typical, units_for
from torch.nn.utils import prune
from torch.nn.utils.rnn import pack_sequence

import cellwright as cw
from cellwright.errors import BackendError, CellwrightError, GraphError, SettingError, ShapeError

close = torch.testing.assert_close


def test_layers_of_several_sizes_as_in_the_textbook():
    net = cw.Recurrent(cw.cells.peephole_lstm, 5, [128, 64, 32, 8])
    y, state = net(torch.randn(2, 7, 5))
    assert y.shape == (2, 7, 8)
    assert [layer["c"].shape for layer in state] == [(2, 128), (2, 64), (2, 32), (2, 8)]
    assert net.output_size == 8
    assert net.num_layers == 4


def test_a_stack_is_its_layers_one_after_the_other():
    net = cw.Recurrent("gru", 3, [4, 5], dtype=torch.float64)
    layers = [cw.Recurrent("gru", 3, 4, dtype=torch.float64)]
    layers.append(cw.Recurrent("gru", 4, 5, dtype=torch.float64))
    for number, layer in enumerate(layers):
        own = {k: v for k, v in net.state_dict().items() if k.startswith(f"layer{number}.")}
        layer.load_state_dict({f"layer0.{k.partition('.')[2]}": v for k, v in own.items()})
    x = torch.randn(2, 6, 3, dtype=torch.float64)
    lengths = [6, 2]
    y, state = net(x, lengths=lengths)
    lower, lower_state = layers[0](x, lengths=lengths)
    upper, upper_state = layers[1](lower, lengths=lengths)
    assert torch.equal(y, upper)
    assert torch.equal(state[0]["h"], lower_state[0]["h"])
    assert torch.equal(state[1]["h"], upper_state[0]["h"])


def test_the_second_direction_reads_from_the_end_of_every_row():
    net = cw.Recurrent("lstm", 3, 4, bidirectional=True, dtype=torch.float64)
    alone = cw.Recurrent("lstm", 3, 4, dtype=torch.float64)
    weights = {k: v for k, v in net.state_dict().items() if k.startswith("layer0_reverse.")}
    alone.load_state_dict({k.replace("_reverse", ""): v for k, v in weights.items()})
    x = torch.randn(3, 5, 3, dtype=torch.float64)
    lengths = [5, 3, 1]
    y, state = net(x, lengths=lengths)
    for row, length in enumerate(lengths):
        flipped, after = alone(x[row : row + 1, :length].flip(1))
        close(y[row, :length, 4:], flipped[0].flip(0))
        close(state[0]["c"][row, 1], after[0]["c"][0])
    assert y.shape == (3, 5, 8)


def test_a_sequence_may_be_cut_and_carried_on():
    net = cw.Recurrent("lstm", 3, [4, 5], dtype=torch.float64)
    x = torch.randn(2, 9, 3, dtype=torch.float64)
    whole, last = net(x)
    first, state = net(x[:, :4])
    second, state = net(x[:, 4:], state)
    close(torch.cat([first, second], 1), whole)
    close(state[1]["c"], last[1]["c"])


def test_a_clock_goes_on_when_a_sequence_comes_in_pieces():
    @cw.cell(state="h")
    def clock(x, h, t):
        """Takes its input at every third step."""
        h = cw.where(t % 3 < 1, cw.affine("h", x), h)
        return h

    net = cw.Recurrent(clock, 2, [3, 4], bidirectional=False, dtype=torch.float64)
    x = torch.randn(2, 8, 2, dtype=torch.float64)
    whole, last = net(x, lengths=[8, 6])
    first, state = net(x[:, :4])
    second, state = net(x[:, 4:], state, lengths=[4, 2])
    close(torch.cat([first, second], 1), whole)
    assert state[0]["t"].tolist() == last[1]["t"].tolist() == [[8], [6]]
    assert state[0]["t"].dtype == torch.int64


@pytest.mark.parametrize("bidirectional", [False, True])
def test_every_row_is_for_itself_whatever_its_length(bidirectional):
    net = cw.Recurrent("peephole_lstm", 3, [4, 5], bidirectional=bidirectional, dtype=torch.float64)
    x = torch.randn(5, 6, 3, dtype=torch.float64)
    lengths = torch.tensor([3, 0, 6, 1, 6])
    y, state = net(x, lengths=lengths)
    for row, length in enumerate(lengths.tolist()):
        alone, after = net(x[row : row + 1, :length])
        close(y[row, :length], alone[0])
        assert bool((y[row, length:] == 0).all())
        close(state[1]["c"][row], after[1]["c"][0])


def test_a_mask_says_the_same_as_lengths_and_may_have_gaps():
    net = cw.Recurrent("gru", 2, 3, dtype=torch.float64)
    x = torch.randn(2, 5, 2, dtype=torch.float64)
    lengths = torch.tensor([4, 2])
    y, state = net(x, lengths=lengths)
    masked, masked_state = net(x, mask=torch.arange(5) < lengths[:, None])
    assert torch.equal(y, masked)
    assert torch.equal(state[0]["h"], masked_state[0]["h"])
    gaps = torch.tensor([[1, 0, 1, 1, 0], [0, 0, 1, 0, 1]], dtype=torch.bool)
    y, state = net(x, mask=gaps)
    for row in range(2):
        kept, after = net(x[row][gaps[row]][None])
        close(y[row][gaps[row]], kept[0])
        assert bool((y[row][~gaps[row]] == 0).all())
        close(state[0]["h"][row], after[0]["h"][0])


def test_time_first_is_the_same_laid_out_otherwise():
    net = cw.Recurrent("lstm", 3, 4)
    other = cw.Recurrent("lstm", 3, 4, batch_first=False)
    other.load_state_dict(net.state_dict())
    x = torch.randn(2, 5, 3)
    assert torch.equal(
        net(x, lengths=[5, 2])[0], other(x.mT.mT.transpose(0, 1), lengths=[5, 2])[0].transpose(0, 1)
    )


def test_a_learned_first_state_is_used_and_learned():
    net = cw.Recurrent("lstm", 3, [4, 2], bidirectional=True, learn_initial_state=True)
    assert {k for k in net.state_dict() if "initial" in k} == {
        f"layer{n}{side}.initial_{s}" for n in (0, 1) for side in ("", "_reverse") for s in "hc"
    }
    x = torch.randn(5, 4, 3)
    zero, _ = net(x)
    with torch.no_grad():
        net.layer1_reverse.get_parameter("initial_c").fill_(0.5)
    moved, state = net(x)
    assert torch.equal(zero[..., :2], moved[..., :2])
    assert not torch.equal(zero[..., 2:], moved[..., 2:])
    moved.sum().backward()
    assert float(net.layer0.get_parameter("initial_h").grad.abs().sum()) > 0
    explicit, _ = net(x, [{k: torch.zeros_like(v) for k, v in layer.items()} for layer in state])
    assert torch.equal(explicit, zero)


def test_extra_inputs_reach_every_layer():
    @cw.cell(state="h", inputs={"gap": 1, "context": "context"})
    def timed(x, h, gap, context):
        """Decay with the time between steps."""
        h = cw.exp(-gap) * h + cw.affine("h", x, context, bias=None)
        return h

    net = cw.Recurrent(timed, 2, [3, 4], sizes={"context": 5})
    x, gap, context = torch.randn(2, 6, 2), torch.rand(2, 6, 1), torch.randn(2, 6, 5)
    y, _ = net(x, gap=gap, context=context)
    assert y.shape == (2, 6, 4)
    w = dict(net.named_parameters())
    h = torch.zeros(2, 3)
    for step in range(6):
        inflow = x[:, step] @ w["layer0.h_x"].T + context[:, step] @ w["layer0.h_context"].T
        h = torch.exp(-gap[:, step]) * h + inflow
    close(h, net(x, gap=gap, context=context)[1][0]["h"])
    with pytest.raises(ShapeError, match="needs the input 'context'"):
        net(x, gap=gap)
    with pytest.raises(ShapeError, match="no input 'gaps'.*Did you mean 'gap'"):
        net(x, gap=gap, context=context, gaps=gap)
    with pytest.raises(ShapeError, match="gap: expected"):
        net(x, gap=gap[:, :3], context=context)
    with pytest.raises(GraphError, match="'context'"):
        cw.Recurrent(timed, 2, 3)


def test_a_cell_may_see_the_layer_below():
    @cw.cell(state=("h", "c"))
    def depth_gated(x, h, c, c_below):
        """Depth-gated (Yao 2015), simplified."""
        d = cw.sigmoid(cw.affine("d", x, c))
        c = 0.5 * c + cw.tanh(cw.affine("c", x, h)) + d * c_below
        h = cw.tanh(c)
        return h, c

    net = cw.Recurrent(depth_gated, 3, [4, 4], dtype=torch.float64, bidirectional=True)
    x = torch.randn(2, 5, 3, dtype=torch.float64)
    tape = cw.record(net, x, lengths=[5, 3])
    y, _ = net(x, lengths=[5, 3])
    close(torch.tanh(tape[1]["c"][:, :, 0])[0], y[0, :, :4])
    below, c, d = tape[0]["c"][0, :, 1], tape[1]["c"][0, :, 1], tape[1]["d"][0, :, 1]
    upper = net.layer1_reverse.direction().weights
    lower_output = torch.cat([tape[0]["h"][0, :, 0], tape[0]["h"][0, :, 1]], -1)
    first = torch.tanh(lower_output[4] @ upper["c_x"].T + upper["c_bias"])
    close(c[4], first + d[4] * below[4])
    with pytest.raises(SettingError, match="as many units; got 4 below 5"):
        cw.Recurrent(depth_gated, 3, [4, 5])


@pytest.mark.parametrize("name", typical(chosen={"lstm", "gru", "projected_lstm", "clockwork"}))
def test_regularisers_act_in_training_only(name):
    options = {"dropout": 0.4, "zoneout": 0.3, "sizes": own_sizes(name, 4)}
    options["recurrent_dropout"] = recurrent_dropout(name, 0.3)
    torch.manual_seed(0)
    net = cw.Recurrent(name, 3, [units_for(cw.cells.get(name).graph, 6)] * 2, **options)
    x = torch.randn(4, 8, 3)
    assert not torch.equal(net(x)[0], net(x)[0])
    net.eval()
    assert torch.equal(net(x)[0], net(x)[0])


def test_zoneout_keeps_units_at_its_rate():
    net = cw.Recurrent("elman", 2, 400, zoneout=0.3)
    y, _ = net(torch.randn(10, 30, 2))
    kept = (y[:, 1:] == y[:, :-1]).double().mean()
    assert abs(float(kept) - 0.3) < 0.01
    first = (y[:, 0] == 0).double().mean()
    assert abs(float(first) - 0.3) < 0.05


def test_zoneout_in_evaluation_is_its_expected_value():
    net = cw.Recurrent("elman", 2, 3, zoneout=0.25, dtype=torch.float64).eval()
    plain = cw.Recurrent("elman", 2, 3, dtype=torch.float64)
    plain.load_state_dict(net.state_dict())
    x = torch.randn(1, 6, 2, dtype=torch.float64)
    y, _ = net(x)
    h = torch.zeros(1, 3, dtype=torch.float64)
    for step in range(6):
        new, _ = plain(x[:, step : step + 1], [{"h": h}])
        h = 0.25 * h + 0.75 * new[:, 0]
        close(y[:, step], h)


def test_recurrent_dropout_drops_the_same_units_at_every_step():
    net = cw.Recurrent(
        "elman",
        1,
        50,
        recurrent_dropout=0.5,
        initialization={"input": "zeros", "recurrent": "identity"},
    )
    x = torch.zeros(6, 10, 1)
    start = [{"h": torch.full((6, 50), 1e-3)}]
    y, _ = net(x, start)
    dropped = y[:, 0] == 0
    assert 0.3 < float(dropped.double().mean()) < 0.7
    assert bool((y == 0).eq(dropped.unsqueeze(1)).all())
    assert not torch.equal(dropped[0], dropped[1])
    net.eval()
    close(net(x, start)[0][:, -1], torch.full((6, 50), 1e-3), rtol=1e-4, atol=0)


def test_dropout_is_between_layers_only():
    net = cw.Recurrent("elman", 3, [50, 50], dropout=0.5)
    x = torch.randn(2, 4, 3)
    (y, state), (settled, settled_state) = net(x), net.eval()(x)
    assert torch.equal(state[0]["h"], settled_state[0]["h"])
    assert not torch.equal(y, settled)
    assert bool((y != 0).all())


def test_everything_survives_copying_and_pickling():
    net = cw.Recurrent("lstm", 3, [4, 2], zoneout=0.1, learn_initial_state=True).eval()
    x = torch.randn(2, 5, 3)
    for again in (copy.deepcopy(net), pickle.loads(pickle.dumps(net))):
        assert torch.equal(again(x)[0], net(x)[0])
    assert "lstm, 3, [4, 2]" in repr(net)
    assert "zoneout=0.1" in repr(net)


def test_the_dtype_and_device_follow_the_module():
    net = cw.Recurrent("lstm", 3, 4).to(torch.float64)
    assert net(torch.randn(2, 5, 3, dtype=torch.float64))[0].dtype == torch.float64
    half = cw.Recurrent("lstm", 3, 4, dtype=torch.bfloat16)
    assert half(torch.randn(2, 5, 3, dtype=torch.bfloat16))[0].dtype == torch.bfloat16
    meta = cw.Recurrent("lstm", 3, 4, device="meta")
    assert all(p.is_meta for p in meta.parameters())


def test_names_that_modules_use_themselves_are_free():
    @cw.cell(state="h")
    def awkward(x, h):
        """Parameters that are called like methods of nn.Module."""
        h = cw.scale("half", cw.affine("a", x)) + cw.scale("train", h) + cw.scale("initial", h)
        return h

    net = cw.Recurrent(awkward, 2, 3)
    assert {"layer0.half", "layer0.train", "layer0.initial"} <= set(net.state_dict())
    net.double().train()
    y, _ = net(torch.randn(2, 4, 2, dtype=torch.float64))
    assert y.shape == (2, 4, 3)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda net: net(torch.randn(4, 3)), r"x: expected \(batch, time, input=3\), got \(4, 3\)"),
        (lambda net: net(torch.randn(2, 5, 4)), r"got \(2, 5, 4\)"),
        (lambda net: net([[1.0]]), "x: expected a tensor, got list"),
        (
            lambda net: net(pack_sequence([torch.zeros(2, 3)])),
            "got PackedSequence; give the padded batch and lengths=",
        ),
        (lambda net: net(torch.randn(2, 5, 3).double()), "float32 on cpu like the weights"),
        (lambda net: net(torch.randn(2, 5, 3), lengths=[1]), r"lengths: expected \(batch=2,\)"),
        (lambda net: net(torch.randn(2, 5, 3), lengths=[6, 1]), r"0\.\.5.*got 1 to 6"),
        (lambda net: net(torch.randn(2, 5, 3), lengths=[-1, 1]), r"0\.\.5"),
        (lambda net: net(torch.randn(2, 5, 3), lengths=[1.5, 1]), "whole numbers"),
        (
            lambda net: net(torch.randn(2, 5, 3), mask=torch.ones(2, 4) > 0),
            r"mask: expected \(batch=2, time=5\)",
        ),
        (lambda net: net(torch.randn(2, 5, 3), mask=torch.ones(2, 5)), "true and false"),
        (
            lambda net: net(torch.randn(2, 5, 3), lengths=[1, 1], mask=torch.ones(2, 5) > 0),
            "not both",
        ),
        (lambda net: net(torch.randn(2, 5, 3), []), "each of the 1 layers"),
        (lambda net: net(torch.randn(2, 5, 3), [{"h": torch.zeros(2, 4)}]), r"\['c', 'h'\]"),
        (
            lambda net: net(
                torch.randn(2, 5, 3), [{"h": torch.zeros(2, 4), "c": torch.zeros(2, 5)}]
            ),
            r"state\[0\]\['c'\]: expected \(batch=2, units=4\), got \(2, 5\)",
        ),
    ],
)
def test_wrong_shapes_are_named_by_axis(call, words):
    with pytest.raises(ShapeError, match=words):
        call(cw.Recurrent("lstm", 3, 4))


@pytest.mark.parametrize(
    ("arguments", "options", "error", "words"),
    [
        (("lstmm", 3, 4), {}, CellwrightError, "Did you mean 'lstm'"),
        (("lstm", 0, 4), {}, SettingError, "input_size must be a positive"),
        (("lstm", 3, []), {}, SettingError, "hidden_size is empty"),
        (("lstm", 3, [4, 0]), {}, SettingError, "hidden_size must be a positive"),
        (("lstm", 3, 4), {"dropout": 1.0}, SettingError, "dropout must lie in 0..1"),
        (("lstm", 3, 4), {"zoneout": math.nan}, SettingError, "zoneout"),
        (("lstm", 3, 4), {"backend": "cup"}, BackendError, "no backend 'cup'"),
        (("lstm", 3, 4), {"sizes": {"proj": 2}}, GraphError, "no size 'proj'"),
        (("projected_lstm", 3, 4), {}, GraphError, "size 'proj' that is not bound"),
        (("projected_lstm", 3, [4, 4]), {"sizes": {"proj": [2]}}, SettingError, "1 numbers for 2"),
        (("projected_lstm", 3, 4), {"sizes": {"proj": 0}}, SettingError, "positive whole"),
        (("lstm", 3, 4), {"sizes": {"hidden": 2}}, SettingError, "cannot bind 'hidden'"),
        (("lstm", 3, 4), {"initialization": "keras"}, SettingError, "no initialization 'keras'"),
        (
            ("lstm", 3, 4),
            {"initialization": {"recurrent": "orthogonl"}},
            SettingError,
            "Did you mean 'orthogonal'",
        ),
        (("lstm", 3, 4), {"initialization": {"forget": "zeros"}}, SettingError, "no kind 'forget'"),
    ],
)
def test_wrong_arguments_are_refused_early(arguments, options, error, words):
    with pytest.raises(error, match=words):
        cw.Recurrent(*arguments, **options)


def test_more_blocks_than_units_are_refused_when_the_layer_is_built():
    @cw.cell(state="h")
    def clock(x, h):
        """Three groups."""
        h = h * cw.per_unit([1, 2, 3]) + cw.affine("h", x)
        return h

    with pytest.raises(GraphError, match="3 blocks need as many units, not 2"):
        cw.Recurrent(clock, 1, 2)


def test_what_a_cell_makes_of_padding_reaches_no_gradient():
    @cw.cell(state="h")
    def logarithmic(x, h):
        """Undefined where its input is zero, as padding is."""
        h = cw.tanh(cw.affine("n", cw.log(x), h))
        return h

    net = cw.Recurrent(logarithmic, 2, 3)
    y, _ = net(torch.rand(2, 4, 2) + 0.1, lengths=[4, 2])
    y.sum().backward()
    assert all(bool(weight.grad.isfinite().all()) for weight in net.parameters())


def test_parametrised_and_pruned_weights_are_used():
    net = cw.Recurrent("lstm", 3, 4)
    x = torch.randn(2, 5, 3)
    expected = net(x)[0]
    torch.nn.utils.parametrizations.weight_norm(net.layer0, "i_h")
    close(net(x)[0], expected)
    with torch.no_grad():
        net.layer0.parametrizations.i_h.original0.zero_()
    assert not torch.equal(net(x)[0], expected)
    prune.l1_unstructured(net.layer0, "f_h", amount=0.5)
    assert net(x)[0].shape == expected.shape


def test_a_replica_finds_its_weights():
    net = cw.Recurrent("lstm", 3, 4)
    replica = net._replicate_for_data_parallel()
    for name, module in net.named_children():
        copied = module._replicate_for_data_parallel()
        for key, weight in module.named_parameters():
            setattr(copied, key, weight * 1)
        setattr(replica, name, copied)
    x = torch.randn(2, 5, 3)
    close(replica(x)[0], net(x)[0])


def test_a_cell_without_weights():
    @cw.cell(state="m")
    def average(x, m):
        """Moving average, as wide as the input."""
        m = 0.5 * m + 0.5 * x
        return m

    y, _ = cw.Recurrent(average, 2, 7)(torch.ones(1, 2, 2))
    assert y.tolist() == [[[0.5, 0.5], [0.75, 0.75]]]


def test_what_comes_out_of_autocast_may_go_in():
    net = torch.nn.Sequential(torch.nn.Linear(3, 3), cw.Recurrent("gru", 3, 4))
    with torch.autocast("cpu", torch.bfloat16):
        y, _ = net(torch.randn(2, 5, 3))
    y.float().sum().backward()
    assert net[1].layer0.get_parameter("r_h").grad.dtype == torch.float32


def test_zoneout_by_state():
    net = cw.Recurrent("lstm", 2, 300, zoneout={"c": 0.4})
    tape_states = [
        net(torch.randn(4, 1, 2), [{"h": torch.ones(4, 300), "c": torch.ones(4, 300)}])[1]
    ]
    kept = {name: float((tape_states[0][0][name] == 1).double().mean()) for name in "hc"}
    assert kept["h"] == 0
    assert abs(kept["c"] - 0.4) < 0.05
    with pytest.raises(CellwrightError, match="no state 'm'; it has h, c"):
        cw.Recurrent("lstm", 2, 3, zoneout={"m": 0.1})


def test_recurrent_dropout_never_does_nothing():
    @cw.cell(state="h")
    def independent(x, h):
        """IndRNN (Li et al. 2018)."""
        h = cw.relu(cw.affine("h", x) + cw.scale("u", h))
        return h

    with pytest.raises(CellwrightError, match="no state of cell 'independent' enters a matrix"):
        cw.Recurrent(independent, 2, 3, recurrent_dropout=0.1)


@pytest.mark.parametrize("backend", ["auto", "reference"])
def test_values_of_another_type_are_refused(backend):
    """Compiled code would read their bits as numbers of its own type."""

    @cw.cell(state="h", inputs={"gap": 1})
    def fading(x, h, gap, t):
        h = cw.tanh(cw.affine("h", x, h) + gap / (t + 1))
        return h

    net = cw.Recurrent(fading, 3, 4, backend=backend)
    x, gap = torch.randn(2, 5, 3), torch.ones(2, 5, 1)
    _, state = net(x, gap=gap)
    with pytest.raises(ShapeError, match="gap: expected torch.float32 on cpu, got torch.float64"):
        net(x, gap=gap.double())
    with pytest.raises(ShapeError, match=r"state\[0\]\['h'\]: expected torch.float32 on cpu"):
        net(x, [state[0] | {"h": torch.zeros(2, 4).half()}], gap=gap)
    with pytest.raises(ShapeError, match=r"state\[0\]\['t'\]: expected torch.int64 on cpu"):
        net(x, [state[0] | {"t": torch.zeros(2, 1).int()}], gap=gap)
    for module in (cw.LSTM(3, 4), cw.GRU(3, 4)):
        _, state = module(x)
        with pytest.raises(ShapeError, match="h: expected torch.float32 on cpu"):
            module(x, doubled(state))


def doubled(state):
    return tuple(s.double() for s in state) if isinstance(state, tuple) else state.double()
