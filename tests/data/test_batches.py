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


def test_targets_at_every_step_end_where_the_longest_sequence_of_the_batch_ends():
    lengths = [2, 5, 1, 3]
    x = as_sequences([np.full((length, 1), float(length)) for length in lengths])
    counted = torch.arange(6) < torch.tensor(lengths)[:, None]
    targets = torch.arange(48).reshape(4, 6, 2)
    found = list(batches(x, 3, targets=targets, counted=counted, order=np.array([2, 0, 3, 1])))
    for batch, rows, steps in zip(found, ([2, 0, 3], [1]), (3, 5), strict=True):
        assert torch.equal(batch.targets, targets[rows][:, :steps])
        assert torch.equal(batch.counted, counted[rows][:, :steps])
        assert batch.answers == sum(lengths[row] for row in rows)


def test_without_steps_that_count_every_sample_is_one_answer():
    (batch,) = batches(as_sequences(np.zeros((5, 2, 1))), 9, targets=torch.zeros(5, 7))
    assert batch.answers == 5
    assert batch.targets.shape == (5, 7)
