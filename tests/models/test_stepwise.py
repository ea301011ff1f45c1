"""Networks with an answer at every step."""

import torch

import cellwright as cw
from cellwright.models import StepwiseNetwork


def test_every_step_is_read_out():
    torch.manual_seed(0)
    net = StepwiseNetwork(3, 2, cell="gru", layers=[5], projection=4).double()
    x, lengths = torch.randn(4, 6, 3).double(), torch.tensor([6, 2, 1, 4])
    found = net(x, lengths)
    assert found.shape == (4, 6, 2)
    for row, length in enumerate(lengths):
        state = None
        for step in range(int(length)):
            seen = net.projection(x[row : row + 1, step : step + 1])
            output, state = net.recurrent(seen, state)
            wanted = net.readout(output)[0, 0]
            assert torch.allclose(found[row, step], wanted, atol=1e-12)


def test_it_is_causal_unless_it_reads_from_both_ends():
    x = torch.randn(1, 8, 3)
    other = x.clone()
    other[:, 5:] = 0
    for both in (False, True):
        net = StepwiseNetwork(3, 2, cell="lstm", layers=[5], bidirectional=both)
        assert torch.equal(net(x)[:, :5], net(other)[:, :5]) is not both


def test_dropout_falls_on_each_step_for_itself():
    net = StepwiseNetwork(2, 4, cell=cw.cells.lstm, layers=[64], dropout=0.5)
    with torch.no_grad():
        net.readout.weight.fill_(1)
        net.recurrent.layer0.g_bias.fill_(3)
    x = torch.zeros(2, 50, 2)
    # A state that has come to rest gives the same answer at every step, unless units drop out.
    late = net.eval()(x)[0, 30:, 0]
    dropped = net.train()(x)[0, 30:, 0]
    assert dropped.std() > 20 * late.std()
