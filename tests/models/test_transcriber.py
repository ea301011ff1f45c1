"""The network of the transcriber: subsampling, batches and streams."""

import numpy as np
import pytest
import torch

from cellwright.errors import SettingError
from cellwright.models.transcriber import Subsampling, TranscriberNetwork


def network(**options):
    torch.manual_seed(0)
    made = TranscriberNetwork(3, 5, **({"cell": "lstm", "layers": [6, 4]} | options)).eval()
    made.shift.copy_(torch.tensor([1.0, 2.0, 3.0]))
    made.spread.copy_(torch.tensor([2.0, 0.5, 1.0]))
    return made


SHAPES = [
    {},
    {"stride": 3},
    {"stride": 2, "convolution": 7},
    {"stride": 3, "convolution": 7, "projection": 2},
    {"projection": 4},
]


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("bidirectional", [True, False])
def test_a_row_gives_the_same_in_any_batch(shape, bidirectional):
    made = network(bidirectional=bidirectional, **shape)
    x, lengths = torch.randn(4, 11, 3), torch.tensor([11, 4, 1, 8])
    together = made(x, lengths)
    assert together.shape == (4, -(-11 // made.stride), 5)
    assert torch.allclose(together.exp().sum(2), torch.ones(1))
    for row, length in enumerate(lengths.tolist()):
        alone = made(x[row : row + 1, :length], torch.tensor([length]))
        count = int(made.output_lengths(torch.tensor(length)))
        assert alone.shape[1] == count
        assert torch.allclose(together[row, :count], alone[0], atol=1e-6)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("steps", [1, 6, 11])
def test_a_stream_gives_the_same_numbers(shape, steps):
    made = network(bidirectional=False, **shape)
    stream = made.stream()
    for _ in range(2):  # the second time as if it were the first
        x = torch.randn(steps, 3)
        whole = made(x[None])[0]
        found = [stream.step(step) for step in x]
        found.append(stream.finish())
        given = [scores for scores in found if scores is not None]
        assert torch.allclose(torch.stack(given), whole, atol=1e-5)


def test_a_causal_convolution_does_not_see_ahead():
    x = torch.randn(1, 12, 3)
    changed = x.clone()
    changed[:, 6:] = 0
    for causal, same in ((True, 3), (False, 2)):
        torch.manual_seed(0)
        made = Subsampling(3, stride=2, convolution=4, causal=causal)
        equal = (made(x)[0] == made(changed)[0]).all(2)[0]
        assert equal[:same].all()
        assert not equal[same]


def test_steps_stand_side_by_side():
    x = torch.arange(10.0).reshape(1, 5, 2)
    seen, lengths = Subsampling(2, stride=2)(x, torch.tensor([5]))
    assert seen.tolist() == [[[0, 1, 2, 3], [4, 5, 6, 7], [8, 9, 0, 0]]]
    assert lengths.tolist() == [3]


def test_a_bidirectional_network_is_not_streamed():
    with pytest.raises(SettingError, match="bidirectional network cannot be streamed"):
        network().stream()


def test_every_weight_learns():
    made = network(stride=2, convolution=4, projection=3).train()
    made(torch.randn(2, 8, 3))[:, :, 1].sum().backward()
    assert all(np.abs(w.grad.numpy()).sum() > 0 for w in made.parameters())
