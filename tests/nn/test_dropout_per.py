"""Dropout between layers: other units at each step, or the same ones all sequence long."""

import pytest
import torch

import cellwright as cw
from cellwright.errors import SettingError


def dropped_units(per):
    """Which units of the lower layer the upper one does not see, (row, step, unit)."""

    @cw.cell(state="h")
    def copying(x, h):
        return x + 0.0 * h

    torch.manual_seed(0)
    net = cw.Recurrent(copying, 6, [6, 6], dropout=0.5, dropout_per=per, backend="reference")
    return net(torch.ones(3, 9, 6))[0] == 0


def test_one_mask_for_all_steps_of_a_row():
    zero = dropped_units("sequence")
    assert (zero == zero[:, :1]).all()
    assert zero.any()
    assert not zero.all()
    assert (zero[0] != zero[1]).any()


def test_a_mask_for_each_step():
    zero = dropped_units("step")
    assert (zero != zero[:, :1]).any()


def test_what_is_kept_is_scaled_up_and_nothing_is_dropped_in_evaluation():
    torch.manual_seed(0)
    net = cw.Recurrent("lstm", 4, [5, 5], dropout=0.5, dropout_per="sequence").eval()
    plain = cw.Recurrent("lstm", 4, [5, 5])
    plain.load_state_dict(net.state_dict())
    x = torch.randn(2, 7, 4)
    assert torch.equal(net(x)[0], plain(x)[0])
    assert "dropout_per='sequence'" in repr(net)


def test_a_bad_word():
    with pytest.raises(SettingError, match="dropout_per='row': must be 'step' or 'sequence'"):
        cw.Recurrent("lstm", 4, 5, dropout_per="row")
