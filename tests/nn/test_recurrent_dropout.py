"""Recurrent dropout where states enter a matrix together: nothing breaks, and the mean stays."""

import pytest
import torch

import cellwright as cw
from cellwright.errors import CellError


@cw.cell(state=("h", "n"))
def quotient(x, h, n):
    q = h / n
    h = cw.affine("h", x, q, bias=None)
    n = n + 1
    return h, n


@cw.cell(state="h")
def square(x, h):
    q = h * h
    h = cw.affine("h", x, q, bias=None)
    return h


@cw.cell(state=("h", "n"))
def difference(x, h, n):
    q = -h * (n - h) + 2 * n
    h = cw.affine("h", x, q, bias=None)
    return h, n


@pytest.mark.parametrize("cell", [quotient, square, difference])
def test_the_mean_over_all_masks_is_what_enters_without(cell):
    torch.manual_seed(0)
    rows, units = 4000, 3
    scheme = {"input": "zeros", "recurrent": "identity"}
    net = cw.Recurrent(cell, 1, units, recurrent_dropout=0.5, initialization=scheme).double()
    x = torch.zeros(rows, 1, 1).double()
    sizes = net(x)[1][0]
    state = [{name: torch.full_like(sizes[name], 2.0) for name in cell.states}]
    dropped, rest = net(x, state)[0], net.eval()(x, state)[0]
    assert bool(dropped.isfinite().all())
    assert not torch.equal(dropped, rest)
    torch.testing.assert_close(dropped.mean(), rest.mean(), rtol=0.06, atol=0)


@pytest.mark.parametrize("steps", [30, 1500])
def test_a_state_may_go_through_many_small_steps_before_a_matrix(steps):
    """Each step reads the one before twice: all ways through them are more than can be counted."""

    @cw.cell(state="h")
    def small_steps(x, h):
        u = cw.affine("u", x)
        v = h
        for _ in range(steps):
            v = v + 0.01 * (u - v)
        h = cw.affine("h", v)
        return h

    net = cw.Recurrent(small_steps, 2, 3, recurrent_dropout=0.5)
    assert net.graph.leaves("bernoulli")[0].name == "recurrent_dropout_h"


def test_a_state_that_only_divides_is_not_dropped():
    @cw.cell(state="h")
    def divided(x, h):
        h = cw.affine("h", 1 / h, bias=None) + cw.affine("i", x)
        return h

    with pytest.raises(CellError, match="no state of cell 'divided' enters a matrix"):
        cw.Recurrent(divided, 2, 3, recurrent_dropout=0.5)
