"""Networks with an answer at every step."""

import pytest
import torch

import cellwright as cw
from cellwright.errors import SettingError
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


@pytest.mark.parametrize("projection", [None, 4])
def test_a_delayed_answer_has_seen_so_many_steps_more(projection):
    torch.manual_seed(0)
    options = {"cell": "gru", "layers": [5], "projection": projection}
    net = StepwiseNetwork(3, 2, delay=2, **options).double()
    x = torch.randn(2, 9, 3).double()
    changed = x.clone()
    changed[:, 6] += 1
    differs = (net(x) != net(changed)).any(-1)
    # Step 4 waits for step 6, and so do all behind it.
    assert differs.tolist() == [[False] * 4 + [True] * 5] * 2


def test_a_delayed_network_reads_zeros_behind_the_end_of_each_row():
    torch.manual_seed(0)
    net = StepwiseNetwork(3, 2, delay=2, cell="lstm", layers=[5], projection=4).double().eval()
    net.shift += 1
    x, lengths = torch.randn(4, 6, 3).double(), torch.tensor([6, 2, 1, 4])
    found = net(x, lengths)
    for row, length in enumerate(lengths.tolist()):
        alone = net(x[row : row + 1, :length])
        assert alone.shape == (1, length, 2)
        assert torch.allclose(found[row, :length], alone[0], atol=1e-12)
        given = net.projection(net.scaled(x[row : row + 1, :length]))
        output, _ = net.recurrent(torch.cat([given, torch.zeros(1, 2, 4).double()], 1))
        assert torch.allclose(alone, net.readout(output[:, 2:]), atol=1e-12)


@pytest.mark.parametrize("delay", [0, 1, 3])
@pytest.mark.parametrize("steps", [1, 2, 7])
def test_a_stream_gives_the_numbers_of_the_whole_sequence(delay, steps):
    torch.manual_seed(0)
    net = StepwiseNetwork(
        3, 2, delay=delay, cell="lstm", layers=[5, 5], dropout=0.5, connections="residual"
    ).eval()
    stream = net.stream(batch_size=2)
    for _ in range(2):  # the second time after it was finished once
        x = torch.randn(2, steps, 3)
        given = [stream.step(x[:, step]) for step in range(steps)]
        assert [scores is None for scores in given[:delay]] == [True] * min(delay, steps)
        scores = [each for each in given if each is not None] + stream.finish()
        assert torch.allclose(torch.stack(scores, 1), net(x), atol=1e-6)


def test_a_delay_and_reading_from_the_end_do_not_go_together():
    with pytest.raises(SettingError, match="give a delay or bidirectional, not both"):
        StepwiseNetwork(3, 2, delay=1, cell="gru", layers=[5], bidirectional=True)
    with pytest.raises(SettingError, match="delay=-1"):
        StepwiseNetwork(3, 2, delay=-1, cell="gru", layers=[5])
