"""How many threads a network is worth."""

import pytest
import torch
from torch import nn

from cellwright.jobs.training.threads import cpu_threads


@pytest.fixture
def four_threads():
    before = torch.get_num_threads()
    torch.set_num_threads(4)
    yield
    torch.set_num_threads(before)


@pytest.mark.parametrize(
    ("units", "batch_size", "asked", "expected"),
    [(128, 32, None, 1), (128, 128, None, 4), (128, 32, 3, 3), (1024, 128, 2, 2)],
)
def test_small_networks_get_one(four_threads, units, batch_size, asked, expected):
    with cpu_threads(nn.Linear(8, units), batch_size, asked):
        assert torch.get_num_threads() == expected
    assert torch.get_num_threads() == 4


def test_the_callers_threads_come_back_after_an_error(four_threads):
    with pytest.raises(KeyError), cpu_threads(nn.Linear(8, 8), 1, None):
        raise KeyError
    assert torch.get_num_threads() == 4
