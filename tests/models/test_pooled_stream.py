"""A network fed step by step answers as it does for the sequence so far."""

import pytest
import torch

from cellwright.errors import SettingError
from cellwright.models import ClassifierNetwork, RegressorNetwork
from cellwright.models.pooled_stream import PooledStream

CELLS = {
    "lstm": {},
    "projected_lstm": {"sizes": {"proj": 3}},
    "jordan": {"sizes": {"output": 3}},
    "clockwork": {},
}


@pytest.mark.parametrize("pooling", ["last", "mean", "max"])
@pytest.mark.parametrize("connections", ["none", "residual", "skip"])
@pytest.mark.parametrize("cell", ["gru", "lstm"])
def test_after_each_step_it_answers_for_the_steps_so_far(cell, connections, pooling):
    torch.manual_seed(0)
    network = ClassifierNetwork(
        3, 4, cell=cell, layers=[8, 8], pooling=pooling, connections=connections, dropout=0.5
    ).eval()
    x, stream = torch.randn(2, 6, 3), PooledStream(network, 2)
    for _ in range(2):
        for step in range(6):
            torch.testing.assert_close(stream.step(x[:, step]), network(x[:, : step + 1]))
        stream.reset()


@pytest.mark.parametrize("cell", CELLS)
def test_the_last_state_is_what_is_read_whatever_the_cell_puts_out(cell):
    torch.manual_seed(0)
    network = ClassifierNetwork(3, 4, cell=cell, layers=[8], **CELLS[cell]).eval()
    x, stream = torch.randn(1, 5, 3), PooledStream(network)
    for step in range(5):
        torch.testing.assert_close(stream.step(x[:, step]), network(x[:, : step + 1]))


def test_numbers_are_scaled_as_in_a_whole_sequence():
    torch.manual_seed(0)
    network = RegressorNetwork(2, 3, 2, cell="gru", layers=[5], projection=4).eval()
    network.shift.copy_(torch.tensor([1e6, -3.0]))
    network.spread.copy_(torch.tensor([0.1, 7.0]))
    x = torch.randn(1, 4, 2).double() + network.shift
    stream = PooledStream(network)
    for step in range(4):
        found = stream.step(x[:, step])
        assert found.shape == (1, 3, 2)
        torch.testing.assert_close(found, network(x[:, : step + 1]))


def test_what_reads_from_the_end_cannot_be_streamed():
    network = ClassifierNetwork(3, 4, cell="gru", layers=[8], bidirectional=True)
    with pytest.raises(SettingError, match="bidirectional"):
        PooledStream(network)
