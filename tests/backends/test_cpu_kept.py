"""Packed weights are kept from call to call, as long as they are the same to the last bit."""

import itertools

import pytest
import torch

import cellwright as cw

NUMBERS = (0.25, 0.5, 1.0, 2.0, 3.0)


def follows(units, features, matrices, dtype):
    """Whether relu(W x) follows every change of W; x is such that it tells all of them apart."""
    net = cw.Recurrent("elman_relu", features, units, dtype=dtype)
    x = torch.tensor([1.0, 7.0, 49.0, 343.0] * 5, dtype=dtype)[:features].view(1, 1, -1)
    weight = net.layer0.h_x.data
    with torch.no_grad():
        for other in net.parameters():
            other.zero_()
        for matrix in matrices:
            weight.copy_(matrix)
            assert torch.allclose(net(x)[0][0, 0], weight @ x[0, 0]), matrix


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_weights_that_are_told_apart_by_few_bits(dtype):
    every = torch.tensor(list(itertools.product(NUMBERS, repeat=3)), dtype=dtype).unsqueeze(2)
    generator = torch.Generator().manual_seed(0)
    pairs = torch.randint(len(every), (4000,), generator=generator)
    follows(3, 1, every[pairs], dtype)
    # Permutations of each other, one after the other.
    orders = list(itertools.permutations((1.0, 2.0, 3.0, 0.5)))
    twice = [two for pair in itertools.permutations(orders, 2) for two in pair]
    follows(2, 2, torch.tensor(twice, dtype=dtype).view(-1, 2, 2), dtype)


@pytest.mark.parametrize("lanes", [4, 8, 16])  # of one processor or another
def test_whole_vectors_that_are_told_apart_by_few_bits(lanes):
    first, second = torch.zeros(2, 4, 4)
    first[0, 0], first[0, 2], first[1, 0], first[1, 2] = 0.5, 2.0, 1.0, 0.25
    second[0, 0], second[0, 2], second[1, 0], second[1, 2] = 1.0, 0.125, 0.5, 4.0
    follows(4, 4, [first, second, first], torch.float32)
    # Three vectors of a row: their bits, summed where they stand, are the same.
    net, x = cw.Recurrent("elman_relu", 3 * lanes, 1), torch.ones(1, 1, 3 * lanes)
    x[0, 0, lanes] = 2
    with torch.no_grad():
        for weight in net.parameters():
            weight.zero_()
        for one, two in ((-1.0, 2.0), (1.0, 3.0)):
            net.layer0.h_x.data[0, 1] = one
            net.layer0.h_x.data[0, lanes::lanes] = two
            assert net(x)[0].item() == one + 3 * two
