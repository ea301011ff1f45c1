"""Numbered pairs: what goes into a decoder, what should come out, and what is padding."""

import numpy as np
import torch

from cellwright.data.token_pairs import TokenPairs


def test_targets_go_in_behind_begin_and_come_out_before_end():
    pairs = TokenPairs([[7, 8, 9], [7]], [[4], [5, 6]], padding=0, begin=2, end=3)
    (batch,) = pairs.batches(8, np.array([0, 1]))
    assert batch.source.tolist() == [[7, 8, 9], [7, 0, 0]]
    assert batch.lengths.tolist() == [3, 1]
    assert batch.given.tolist() == [[2, 4, 0], [2, 5, 6]]
    assert batch.wanted.tolist() == [[4, 3, 0], [5, 6, 3]]
    assert batch.counted.tolist() == [[True, True, False], [True, True, True]]
    assert batch.answers == 5


def test_without_an_order_pairs_come_by_length_and_rows_say_which():
    sources = [[1] * n for n in (5, 2, 9, 2)]
    pairs = TokenPairs(sources, None, padding=0, begin=2, end=3)
    batches = list(pairs.batches(2))
    assert [batch.rows.tolist() for batch in batches] == [[1, 3], [0, 2]]
    assert batches[0].given is None
    assert batches[1].answers == 2
    assert batches[1].source[0].tolist() == [1] * 5 + [0] * 4


def test_similar_pairs_have_similar_keys():
    pairs = TokenPairs([[1] * 3, [1] * 9, [1]], [[1], [1], [1, 1]], padding=0, begin=2, end=3)
    assert np.argsort(pairs.lengths).tolist() == [0, 1, 2]


def test_an_empty_target_is_an_end_alone():
    pairs = TokenPairs([[5]], [[]], padding=0, begin=2, end=3)
    (batch,) = pairs.batches(1)
    assert (batch.given.tolist(), batch.wanted.tolist()) == ([[2]], [[3]])
    assert torch.equal(batch.counted, torch.ones(1, 1, dtype=torch.bool))
