import numpy as np
import pytest
import torch

from cellwright.data import as_sequences, batches


@pytest.mark.parametrize("ragged", [True, False])
def test_every_sample_comes_once_with_its_target(ragged):
    x = [np.full((1 + n % 3 if ragged else 2, 1), float(n)) for n in range(7)]
    targets = torch.arange(7) * 10
    order = np.array([6, 0, 5, 1, 4, 2, 3])
    seen = []
    for batch in batches(as_sequences(x), 3, targets=targets, order=order):
        assert batch.x.shape == (len(batch.rows), int(batch.lengths.max()), 1)
        assert batch.targets is not None
        for row, length, values, target in zip(
            batch.rows, batch.lengths, batch.x, batch.targets, strict=True
        ):
            assert int(length) == len(x[row])
            assert values[:length].tolist() == x[row].tolist()
            assert not values[length:].any()
            assert int(target) == 10 * row
            seen.append(int(row))
    assert seen == order.tolist()


def test_without_order_and_targets_they_come_as_they_are():
    found = list(batches(as_sequences(np.zeros((5, 2, 1))), 2))
    assert [batch.rows.tolist() for batch in found] == [[0, 1], [2, 3], [4]]
    assert all(batch.targets is None for batch in found)
