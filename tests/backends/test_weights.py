"""Weights of another shape, type or place than a layer's are refused by every backend alike."""

import pytest
import torch
from torch import nn

import cellwright as cw
from cellwright.backends import BACKENDS
from cellwright.errors import ShapeError

X = torch.randn(2, 5, 3)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("i_bias", torch.ones(1), r"expected \(4,\) of torch.float32 on cpu, got \(1,\)"),
        ("i_bias", torch.ones(4, 1), r"expected \(4,\) of torch.float32 on cpu, got \(4, 1\)"),
        ("i_bias", torch.ones(4).double(), r"got \(4,\) of torch.float64 on cpu"),
        ("i_bias", torch.ones(4, device="meta"), r"got \(4,\) of torch.float32 on meta"),
        ("i_h", torch.ones(4, 5), r"expected \(4, 4\) .* got \(4, 5\)"),
        ("i_h", torch.ones(4), r"expected \(4, 4\) .* got \(4,\)"),
        ("initial_h", torch.ones(1), r"expected \(4,\) of torch.float32 on cpu, got \(1,\)"),
        ("initial_h", torch.ones(2, 4), r"expected \(4,\) .* got \(2, 4\)"),
        ("initial_c", torch.ones(4).double(), r"got \(4,\) of torch.float64 on cpu"),
    ],
)
def test_what_does_not_fit_is_named(backend, name, value, message):
    net = cw.Recurrent("lstm", 3, 4, backend=backend, learn_initial_state=True)
    net(X)
    net.layer0._parameters[name] = nn.Parameter(value)
    for run in (lambda: net(X), lambda: net.stream(2).steps(X)):
        with pytest.raises(ShapeError, match=f"weight {name}: .*{message}"):
            run()


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_drop_in_s_weights_are_checked_too(backend):
    net = cw.GRU(3, 4, batch_first=True)
    net.backend = backend
    net.weight_ih_l0 = nn.Parameter(torch.ones(12, 1))
    with pytest.raises(ShapeError, match=r"weight r_x, z_x, n_x: expected \(12, 3\)"):
        net(X)
