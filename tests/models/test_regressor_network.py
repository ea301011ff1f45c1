"""The regressor's network: its formula, its scales, and the embedding of its trunk."""

import pytest
import torch

from cellwright.models import ClassifierNetwork, RegressorNetwork


def test_answers_are_the_trunks_scores_by_target():
    torch.manual_seed(0)
    net = RegressorNetwork(3, 2, 4, cell="gru", layers=[5])
    x = torch.randn(6, 7, 3)
    told = net(x)
    assert told.shape == (6, 2, 4)
    y, _ = net.recurrent(net.seen(x))
    torch.testing.assert_close(told.flatten(1), net.readout(y[:, -1]))


def test_units_come_back_in_double_precision():
    net = RegressorNetwork(1, 2, cell="lstm", layers=[2])
    net.target_shift.copy_(torch.tensor([1e9, 0.0]))
    net.target_spread.copy_(torch.tensor([1e-3, 2.0]))
    told = net.in_units(torch.ones(1, 2, 1))
    assert told.dtype == torch.float64
    assert told.squeeze().tolist() == [1e9 + 1e-3, 2.0]


def test_scales_keep_their_precision_when_the_network_changes_its_own():
    net = RegressorNetwork(2, 1, cell="lstm", layers=[2]).float()
    scales = (net.shift, net.spread, net.target_shift, net.target_spread)
    assert {scale.dtype for scale in scales} == {torch.float64}
    assert net.readout.weight.dtype == torch.float32
    assert set(net.state_dict()) >= {"shift", "spread", "target_shift", "target_spread"}


@pytest.mark.parametrize("projection", [None, 3])
def test_words_are_looked_up_and_padding_does_not_matter(projection):
    torch.manual_seed(0)
    options = {"vocabulary": 9, "projection": projection}
    net = ClassifierNetwork(4, 2, cell="lstm", layers=[3], **options).eval()
    words = torch.tensor([[1, 8, 3], [2, 0, 0]])
    scores = net(words, torch.tensor([3, 1]))
    torch.testing.assert_close(net(words.unsqueeze(2).double(), torch.tensor([3, 1])), scores)
    torch.testing.assert_close(net(words[1:, :1]), scores[1:])
    y, _ = net.recurrent(net.projection(net.embedding(words[:1])))
    torch.testing.assert_close(net.readout(y[:, -1]), scores[:1])


def test_words_are_left_out_in_training_only():
    torch.manual_seed(0)
    options = {"vocabulary": 9, "word_dropout": 0.5}
    net = ClassifierNetwork(4, 2, cell="lstm", layers=[3], **options)
    words = torch.randint(9, (1, 1000))
    seen = net._words(words)
    kept = seen.abs().sum(-1) > 0
    assert 400 < int(kept.sum()) < 600
    torch.testing.assert_close(seen[kept], 2 * net.embedding(words)[kept])
    torch.testing.assert_close(net.eval()._words(words), net.embedding(words))


def test_a_network_without_words_has_no_embedding():
    net = ClassifierNetwork(4, 2, cell="lstm", layers=[3])
    assert not any("embedding" in name for name in net.state_dict())
