"""The network of a language model."""

import math

import numpy as np
import pytest
import torch

from cellwright.errors import SettingError
from cellwright.models.language import LanguageNetwork

SHAPES = {
    "tied": {"layers": [6, 8]},
    "projected": {"layers": [6, 5], "embedding": 8},
    "own readout": {"layers": [6], "tied": False, "embedding": 3},
    "adaptive": {"layers": [16], "tied": False, "adaptive_softmax": [4, 8]},
    "residual gru": {"layers": [6, 6], "cell": "gru", "connections": "residual"},
    "narrow cell": {"layers": [6], "cell": "projected_lstm", "sizes": {"proj": 4}},
}


def make(shape, **options):
    torch.manual_seed(0)
    chosen = {"cell": "lstm", **SHAPES[shape], **options}
    return LanguageNetwork(12, **chosen)


@pytest.mark.parametrize("shape", SHAPES)
class TestShapes:
    def test_chances_sum_to_one_and_nats_are_their_logarithms(self, shape):
        network = make(shape).eval()
        tokens, targets = torch.randint(12, (2, 3, 7))
        output, _ = network(tokens)
        chances = network.scores(output).softmax(-1)
        assert torch.allclose(chances.sum(-1), torch.ones(3, 7))
        wanted = -chances.gather(-1, targets[..., None]).squeeze(-1).log()
        assert torch.allclose(network.nats(output, targets), wanted, atol=1e-5)

    def test_untrained_it_is_about_as_much_in_doubt_as_it_should_be(self, shape):
        network = make(shape).eval()
        tokens, targets = torch.randint(12, (2, 16, 20))
        nats = network.nats(network(tokens)[0], targets).mean()
        assert abs(nats.item() - math.log(12)) < 0.5

    def test_two_windows_are_as_good_as_one(self, shape):
        network = make(shape).eval()
        tokens = torch.randint(12, (3, 9))
        whole, _ = network(tokens)
        first, state = network(tokens[:, :4])
        second, _ = network(tokens[:, 4:], state)
        assert torch.allclose(torch.cat([first, second], 1), whole, atol=1e-6)

    def test_a_stream_says_the_same_one_token_at_a_time(self, shape):
        network = make(shape).eval()
        tokens = torch.randint(12, (3, 9))
        wanted = network.scores(network(tokens)[0]).log_softmax(-1).detach().numpy()
        stream = network.stream(3)
        for step in range(9):
            found = stream.step(tokens[:, step].tolist()).copy()
            found = torch.from_numpy(found).log_softmax(-1).numpy()
            assert np.allclose(found, wanted[:, step], atol=1e-5)
            if step == 4:
                kept = stream.state
        stream.state = kept
        stream.take([2, 2, 0])
        again = torch.from_numpy(stream.step(tokens[[2, 2, 0], 5].tolist())).log_softmax(-1)
        assert np.allclose(again, wanted[[2, 2, 0], 5], atol=1e-5)

    def test_every_weight_learns(self, shape):
        network = make(shape, dropout=0.2, input_dropout=0.2)
        tokens, targets = torch.randint(12, (2, 8, 30))
        network.nats(network(tokens)[0], targets).mean().backward()
        for name, weight in network.named_parameters():
            assert weight.grad is not None, name
            assert weight.grad.abs().sum() > 0, name


def test_tied_weights_are_stored_once():
    tied, own = make("tied"), make("tied", tied=False)
    count = [sum(w.numel() for w in network.parameters()) for network in (tied, own)]
    assert count[1] - count[0] == 12 * 8
    assert "readout.weight" not in tied.state_dict()


@pytest.mark.parametrize("variational", [True, False])
def test_one_mask_for_all_steps(variational):
    network = make("tied", input_dropout=0.5, variational=variational)
    zero = network._dropped(torch.ones(3, 9, 8), 0.5) == 0
    assert zero.any()
    assert bool((zero == zero[:, :1]).all()) is variational
    assert network.recurrent.dropout_per == ("sequence" if variational else "step")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"adaptive_softmax": [4]}, "give tied=False"),
        ({"adaptive_softmax": [4, 4], "tied": False}, "rising numbers"),
        ({"adaptive_softmax": [], "tied": False}, "rising numbers"),
        ({"adaptive_softmax": [12], "tied": False}, "between 1 and 11"),
        ({"adaptive_softmax": [4, 8], "tied": False}, "want 16 units in the last layer, .* has 8"),
    ],
)
def test_bad_clusters(options, message):
    with pytest.raises(SettingError, match=message):
        make("tied", **options)
