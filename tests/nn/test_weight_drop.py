"""Weight drop: what is dropped, when, and that nothing else notices."""

import copy

import pytest
import torch

import cellwright as cw
from cellwright.errors import SettingError
from cellwright.nn.weight_drop import recurrent_matrices

close = torch.testing.assert_close


@pytest.fixture(autouse=True)
def _same_numbers():
    torch.manual_seed(0)


def network(cell="lstm", units=(6,), **options):
    options = {"weight_drop": 0.5, "dtype": torch.float64, "backend": "reference", **options}
    return cw.Recurrent(cell, 3, units, **options)


def batch(steps=5, dtype=torch.float64):
    return torch.randn(4, steps, 3, dtype=dtype)


def test_the_matrices_that_multiply_a_state():
    def names(cell, **options):
        return recurrent_matrices(cw.cells.get(cell)(**options).graph)

    assert names("lstm") == ("i_h", "f_h", "g_h", "o_h")
    assert names("gru_reset_before") == ("r_h", "z_h", "n_rh")
    assert names("projected_lstm")[-1] == "r_m"
    assert names("min_gru") == ()


@pytest.mark.parametrize("backend", ["reference", "cpu"])
def test_it_is_a_mask_on_the_recurrent_matrices_once_a_pass(backend):
    net = network(units=(6, 4), backend=backend)
    plain = network(units=(6, 4), weight_drop=0.0)
    x = batch()
    torch.manual_seed(5)
    y, _ = net(x)
    torch.manual_seed(5)
    scale = torch.tensor(0.5, dtype=torch.float64)
    with torch.no_grad():
        for name, weight in plain.named_parameters():
            weight.copy_(net.get_parameter(name))
        for layer in (plain.layer0, plain.layer1):
            for gate in "ifgo":
                weight = layer.get_parameter(f"{gate}_h")
                weight.copy_(torch.nn.functional.dropout(weight, float(scale)))
    close(y, plain(x)[0])
    kept = plain.layer0.get_parameter("i_h") != 0
    assert 0.2 < float(kept.double().mean()) < 0.8
    assert not torch.equal(net(x)[0], y)


def test_the_parameters_stay_and_learn_what_was_not_dropped():
    net = network()
    before = copy.deepcopy(net.state_dict())
    net(batch())[0].square().sum().backward()
    assert set(before) == {f"layer0.{g}_{part}" for g in "ifgo" for part in ("x", "h", "bias")}
    assert all(torch.equal(net.state_dict()[name], value) for name, value in before.items())
    for gate in "ifgo":
        zero = net.layer0.get_parameter(f"{gate}_h").grad == 0
        assert 0.2 < float(zero.double().mean()) < 0.8
        assert not (net.layer0.get_parameter(f"{gate}_x").grad == 0).any()


def test_nothing_is_dropped_in_evaluation_records_and_streams():
    net, plain = network(), network(weight_drop=0.0)
    plain.load_state_dict(net.state_dict())
    x = batch()
    expected = plain(x)[0]
    close(cw.record(net, x)[0]["h"], expected)
    stream = net.stream(4)
    close(stream.steps(x), expected)
    close(net.eval()(x)[0], expected)


@pytest.mark.parametrize("backend", ["reference", "cpu"])
def test_a_segment_that_is_run_again_drops_the_same(backend):
    found = []
    for every in (None, 4):
        torch.manual_seed(1)
        net = network(backend=backend, checkpoint_every=every)
        x = batch(11)
        torch.manual_seed(2)
        y, _ = net(x)
        y.square().sum().backward()
        found.append([y, *(weight.grad for weight in net.parameters())])
    close(found[0], found[1])


def test_torch_checkpoint_drops_the_same_too():
    net = network()
    x = batch().requires_grad_()
    torch.manual_seed(3)
    net(x)[0].square().sum().backward()
    expected = [x.grad, *(weight.grad for weight in net.parameters())]
    x.grad = None
    net.zero_grad()
    torch.manual_seed(3)
    again = torch.utils.checkpoint.checkpoint(lambda x: net(x)[0], x, use_reentrant=False)
    again.square().sum().backward()
    close([x.grad, *(weight.grad for weight in net.parameters())], expected)


@pytest.mark.parametrize("backend", ["reference", "cpu"])
def test_half_precision(backend):
    net = network(dtype=torch.bfloat16, backend=backend)
    y, _ = net(batch(dtype=torch.bfloat16))
    y.sum().backward()
    assert y.dtype == torch.bfloat16
    assert all(bool(weight.grad.isfinite().all()) for weight in net.parameters())


def test_torch_compile_takes_it():
    torch._dynamo.reset()
    net = network(dtype=torch.float32, backend="cpu")
    program = torch.compile(net, fullgraph=True, backend="aot_eager")
    x = batch(dtype=torch.float32)
    assert not torch.equal(program(x)[0], program(x)[0])
    net.eval()
    close(program(x)[0], net(x)[0])
    torch._dynamo.reset()


def test_a_cell_without_such_a_matrix_is_refused():
    with pytest.raises(SettingError, match="no matrix of cell 'min_gru' multiplies a state"):
        network("min_gru")
    with pytest.raises(SettingError, match="weight_drop must lie in"):
        network(weight_drop=1.0)
    assert "weight_drop=0.5" in repr(network())
