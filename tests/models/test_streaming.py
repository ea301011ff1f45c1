"""What has been opened as a stream goes on as it was, whatever is done to the network."""

import pytest
import torch

from cellwright.models import ClassifierNetwork, StepwiseNetwork
from cellwright.models.language import LanguageNetwork
from cellwright.models.pooled_stream import PooledStream
from cellwright.models.transcriber import TranscriberNetwork

SHAPE = {"cell": "gru", "layers": [5, 5], "dropout": 0.5}
STEPS = torch.randn(6, 3, generator=torch.Generator().manual_seed(0))


def pooled():
    network = ClassifierNetwork(3, 4, **SHAPE)
    return network, lambda: PooledStream(network), [step[None] for step in STEPS]


def stepwise():
    network = StepwiseNetwork(3, 4, **SHAPE)
    return network, network.stream, [step[None] for step in STEPS]


def transcriber():
    network = TranscriberNetwork(3, 4, **SHAPE, bidirectional=False, convolution=6)
    return network, network.stream, list(STEPS)


def language():
    network = LanguageNetwork(9, **SHAPE, input_dropout=0.5)
    return network, network.stream, [[token] for token in (3, 1, 4, 1, 5)]


@pytest.mark.parametrize("kind", [pooled, stepwise, transcriber, language])
def test_it_runs_as_in_evaluation_with_the_weights_of_then(kind):
    torch.manual_seed(0)
    network, opened, steps = kind()
    network.eval()
    stream = opened()
    expected = [torch.as_tensor(stream.step(step)).clone() for step in steps]
    network.train()
    stream = opened()
    assert all(module.training for module in network.modules())
    with torch.no_grad():
        for weight in network.parameters():
            weight.zero_()
    for step, wanted in zip(steps, expected, strict=True):
        torch.testing.assert_close(torch.as_tensor(stream.step(step)), wanted, rtol=0, atol=0)
