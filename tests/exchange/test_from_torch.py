"""Modules of torch.nn as Recurrent: the same numbers, every option, refusals by name."""

import copy
import subprocess
import sys

import pytest
import torch
from torch import nn
from torch.nn.utils import prune

import cellwright as cw
from cellwright.errors import ArgumentError, CellwrightError, SettingError, ShapeError

KINDS = (
    (nn.LSTM, {}),
    (nn.LSTM, {"proj_size": 4}),
    (nn.GRU, {}),
    (nn.RNN, {}),
    (nn.RNN, {"nonlinearity": "relu"}),
)


def names(state):
    return state if isinstance(state, tuple) else (state,)


def assert_same(ours, theirs, x, **tolerance):
    y, states = ours(x)
    wanted, last = theirs(x)
    torch.testing.assert_close(y, wanted, **tolerance)
    sides = 2 if theirs.bidirectional else 1
    for name, flat in zip(("h", "c"), names(last), strict=False):
        value = flat.unflatten(0, (theirs.num_layers, sides))
        for layer, state in enumerate(states):
            got = state[name].unsqueeze(1) if sides == 1 else state[name]
            torch.testing.assert_close(got, value[layer].transpose(0, 1), **tolerance)


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize(("layers", "both"), [(1, False), (1, True), (3, False), (3, True)])
@pytest.mark.parametrize(("kind", "more"), KINDS)
def test_gives_the_same_outputs_and_states(kind, more, layers, both, bias):
    theirs = kind(3, 5, num_layers=layers, bidirectional=both, bias=bias, **more).double()
    ours = cw.from_torch(theirs)
    ours.backend = "reference"
    assert type(ours) is cw.Recurrent
    assert_same(ours, theirs, torch.randn(7, 4, 3, dtype=torch.float64), rtol=0, atol=1e-12)


@pytest.mark.parametrize("kind", [nn.LSTM, nn.GRU])
def test_compiled_in_single_precision(kind):
    theirs = kind(6, 16, num_layers=2, bidirectional=True, batch_first=True)
    with torch.no_grad():
        assert_same(cw.from_torch(theirs), theirs, torch.randn(4, 9, 6), rtol=0, atol=1e-6)


@pytest.mark.slow
# torch, about itself.
@pytest.mark.filterwarnings("ignore:LSTM with projections is not supported with oneDNN")
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize(("kind", "more"), KINDS)
def test_every_kind_compiled_to_be_trained(kind, more, bias):
    theirs = kind(6, 16, num_layers=2, bidirectional=True, batch_first=True, bias=bias, **more)
    ours, x = cw.from_torch(theirs), torch.randn(4, 9, 6, requires_grad=True)
    assert_same(ours, theirs, x, rtol=0, atol=1e-6)
    got, wanted = (torch.autograd.grad(net(x)[0].square().sum(), x)[0] for net in (ours, theirs))
    torch.testing.assert_close(got, wanted, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("kind", [nn.LSTMCell, nn.GRUCell, nn.RNNCell])
@pytest.mark.parametrize("bias", [True, False])
def test_cells_become_layers(kind, bias):
    theirs = kind(3, 5, bias=bias).double()
    ours = cw.from_torch(theirs)
    ours.backend = "reference"
    x = torch.randn(4, 6, 3, dtype=torch.float64)
    y, _ = ours(x)
    state = None
    for step in range(6):
        state = theirs(x[:, step], state)
        torch.testing.assert_close(y[:, step], names(state)[0], rtol=0, atol=1e-12)


def test_the_cells_own_names():
    torch.manual_seed(0)
    theirs = nn.GRU(3, 5)
    ours = cw.from_torch(theirs)
    r, z, n = theirs.weight_hh_l0.chunk(3)
    assert torch.equal(ours.layer0.m_h, n)
    assert torch.equal(ours.layer0.z_h, z)
    assert torch.equal(ours.layer0.r_h, r)
    assert torch.equal(ours.layer0.m_bias, theirs.bias_hh_l0[10:])
    assert torch.equal(ours.layer0.n_bias, theirs.bias_ih_l0[10:])
    assert torch.equal(ours.layer0.r_bias, (theirs.bias_ih_l0 + theirs.bias_hh_l0)[:5])
    assert not any(
        name.endswith("bias") for name in cw.from_torch(nn.LSTM(3, 5, bias=False)).state_dict()
    )


def test_gradients_are_the_same():
    theirs = nn.LSTM(3, 5, num_layers=2, batch_first=True).double()
    ours = cw.from_torch(theirs)
    ours.backend = "reference"
    x = torch.randn(4, 7, 3, dtype=torch.float64)
    for module in (ours, theirs):
        module(x)[0].square().sum().backward()
    grad = torch.cat([getattr(ours.layer1, f"{gate}_h").grad for gate in "ifgo"])
    torch.testing.assert_close(grad, theirs.weight_hh_l1.grad)
    grad = torch.cat([getattr(ours.layer1, f"{gate}_bias").grad for gate in "ifgo"])
    torch.testing.assert_close(grad, theirs.bias_hh_l1.grad)


def test_options_and_mode_come_along():
    theirs = nn.GRU(3, 5, num_layers=2, dropout=0.25).eval()
    ours = cw.from_torch(theirs)
    assert (ours.dropout, ours.batch_first, ours.training) == (0.25, False, False)
    assert cw.from_torch(theirs.train()).training
    with pytest.warns(UserWarning, match="dropout"):
        lonely = nn.GRU(3, 5, dropout=0.25)
    assert cw.from_torch(lonely).dropout == 0  # torch has none above the last layer


def test_dropout_drops_the_same_units():
    theirs = nn.LSTM(3, 50, num_layers=2, dropout=0.5, batch_first=True)
    ours = cw.from_torch(theirs)
    ours.backend = "reference"
    x = torch.randn(2, 1, 3)
    torch.manual_seed(5)
    wanted = theirs(x)[0]
    torch.manual_seed(5)
    torch.testing.assert_close(ours(x)[0], wanted, rtol=0, atol=1e-6)


def pruned(module):
    for name in [name for name, _ in module.named_parameters() if name.startswith("weight_hh")]:
        prune.random_unstructured(module, name, 0.5)
    return module


@pytest.mark.filterwarnings("ignore:.*weight_norm.* is deprecated:FutureWarning")
@pytest.mark.parametrize(
    "hooked",
    [
        pruned,
        lambda module: nn.utils.weight_norm(module, "weight_hh_l0"),
        lambda module: nn.utils.spectral_norm(module, "weight_hh_l0"),
        lambda module: pruned(nn.utils.weight_norm(module, "weight_ih_l0")),
    ],
    ids=["pruned", "weight_norm", "spectral_norm", "both"],
)
def test_weights_that_hooks_compute_are_those_of_the_next_call(hooked):
    trained, theirs = (hooked(nn.LSTM(3, 5, batch_first=True).double()) for _ in range(2))
    theirs.load_state_dict(trained.state_dict())  # and the plain attributes are the old ones
    ours = cw.from_torch(theirs.eval())
    ours.backend = "reference"
    x = torch.randn(2, 6, 3, dtype=torch.float64)
    torch.testing.assert_close(ours(x)[0], theirs(x)[0], rtol=0, atol=1e-12)


class Doubled(nn.GRU):
    def __call__(self, *given):
        output, state = super().__call__(*given)
        return 2 * output, state


def test_what_else_changes_a_call_is_refused():
    hooked = nn.GRU(3, 5)
    handle = hooked.register_forward_hook(lambda module, given, found: (2 * found[0], found[1]))
    with pytest.raises(SettingError, match="GRU has a hook, .* remove it first"):
        cw.from_torch(hooked)
    handle.remove()
    handle = hooked.register_forward_pre_hook(lambda module, given: (2 * given[0],))
    with pytest.raises(SettingError, match="GRU has a hook, .* remove it first"):
        cw.from_torch(hooked)
    handle.remove()
    cw.from_torch(hooked)
    hooked.forward = lambda x: (x, None)
    with pytest.raises(SettingError, match="overrides the forward"):
        cw.from_torch(hooked)
    with pytest.raises(SettingError, match="Doubled overrides the forward"):
        cw.from_torch(Doubled(3, 5))


def test_what_is_frozen_stays_so():
    theirs = nn.LSTM(3, 5, num_layers=2)
    theirs.weight_hh_l0.requires_grad_(False)
    theirs.bias_ih_l1.requires_grad_(False)  # the sum of both is still trained
    with torch.no_grad():
        ours = cw.from_torch(theirs)
    frozen = [name for name, value in ours.named_parameters() if not value.requires_grad]
    assert frozen == [f"layer0.{gate}_h" for gate in "ifgo"]
    assert not any(
        p.requires_grad for p in cw.from_torch(theirs.requires_grad_(False)).parameters()
    )


def test_weights_of_different_types_are_refused():
    theirs = nn.LSTM(3, 5)
    theirs.bias_ih_l0 = nn.Parameter(theirs.bias_ih_l0.double())
    with pytest.raises(SettingError, match="i_x is torch.float32 on cpu; .*_bias is torch.float64"):
        cw.from_torch(theirs)


def test_it_is_a_copy():
    theirs = nn.RNN(3, 5)
    ours = cw.from_torch(theirs)
    before = copy.deepcopy(ours.state_dict())
    with torch.no_grad():
        for weight in theirs.parameters():
            weight.zero_()
    for name, value in ours.state_dict().items():
        assert torch.equal(value, before[name])


def test_takes_no_random_numbers():
    theirs = nn.LSTM(3, 5)
    torch.manual_seed(1)
    cw.from_torch(theirs)
    here = torch.rand(1)
    torch.manual_seed(1)
    assert torch.equal(here, torch.rand(1))


def test_the_default_device_is_another_one():
    theirs, x = nn.GRU(3, 5, batch_first=True), torch.randn(2, 4, 3)
    with torch.device("meta"):
        ours = cw.from_torch(theirs)
    torch.testing.assert_close(ours(x)[0], theirs(x)[0])


def test_dtypes_and_drop_ins_and_parametrised_weights():
    assert cw.from_torch(nn.LSTM(3, 5, dtype=torch.bfloat16)).layer0.i_x.dtype is torch.bfloat16
    drop_in = cw.GRU(3, 5, batch_first=True)
    ours = cw.from_torch(drop_in)
    x = torch.randn(2, 4, 3)
    torch.testing.assert_close(ours(x)[0], drop_in(x)[0])
    normed = nn.LSTM(3, 5, batch_first=True)
    nn.utils.parametrizations.weight_norm(normed, "weight_hh_l0")
    with torch.no_grad():
        normed.parametrizations.weight_hh_l0.original0.mul_(2)
    torch.testing.assert_close(cw.from_torch(normed)(x)[0], normed(x)[0])


class Louder(nn.LSTM):
    def forward(self, *given):
        y, state = super().forward(*given)
        return 2 * y, state


@pytest.mark.parametrize(
    ("wrong", "error", "words"),
    [
        (nn.Linear(3, 5), ArgumentError, "takes one of torch.nn's LSTM, .* not a Linear"),
        (
            nn.ModuleDict({"encoder": nn.LSTM(3, 5), "head": nn.Linear(5, 2)}),
            ArgumentError,
            "not a ModuleDict; it holds encoder: give that",
        ),
        (nn.LSTM(3, 5).state_dict(), ArgumentError, "a state_dict does not say which options"),
        ("lstm.pt", ArgumentError, "not a str"),
        (Louder(3, 5), SettingError, "Louder overrides the forward of torch.nn.LSTM"),
        (nn.GRU(3, 5, num_layers=2, dropout=1.0), SettingError, "dropout .* not 1.0"),
        (nn.RNNCell(3, 5, nonlinearity="sin"), SettingError, "nonlinearity='sin' .* only tanh"),
    ],
)
def test_refuses_by_name(wrong, error, words):
    with pytest.raises(error, match=words):
        cw.from_torch(wrong)


def test_weights_of_another_shape():
    theirs = nn.GRU(3, 5)
    theirs.weight_hh_l0 = nn.Parameter(torch.zeros(20, 5))
    with pytest.raises(
        ShapeError, match=r"GRU: weight_hh_l0 should be \(gates·hidden=15, units=5\)"
    ):
        cw.from_torch(theirs)
    theirs.weight_hh_l0 = nn.Parameter(torch.zeros(15))
    with pytest.raises(ShapeError, match=r"weight_hh_l0 should be .*, but is \(15,\)"):
        cw.from_torch(theirs)
    theirs = nn.LSTM(3, 5)
    theirs.bias_hh_l0 = nn.Parameter(torch.zeros(24))
    with pytest.raises(CellwrightError, match=r"bias_hh_l0 should be \(gates·hidden=20\)"):
        cw.from_torch(theirs)


def test_brings_nothing_else_in():
    code = (
        "import sys, cellwright as cw; cw.from_torch, cw.from_keras, cw.from_onnx\n"
        "print([m for m in ('keras', 'onnx', 'sklearn') if m in sys.modules])"
    )
    run = [sys.executable, "-c", code]
    assert subprocess.run(run, capture_output=True, text=True, check=True).stdout.strip() == "[]"
