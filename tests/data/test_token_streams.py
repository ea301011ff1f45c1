"""Parallel streams of one long text."""

import numpy as np
import pytest

from cellwright.data.token_streams import TokenStreams


def read(streams):
    """What each stream reads, and what it should have foreseen."""
    batches = list(streams.batches(99))
    tokens = np.concatenate([batch.tokens.numpy() for batch in batches], 1)
    targets = np.concatenate([batch.targets.numpy() for batch in batches], 1)
    return batches, tokens, targets


def test_streams_lie_side_by_side_and_targets_are_what_comes_next():
    streams = TokenStreams.of(np.arange(20, dtype=np.int32), 3, 4)
    batches, tokens, targets = read(streams)
    assert tokens.tolist() == [[*range(6)], [*range(6, 12)], [*range(12, 18)]]
    assert (targets == tokens + 1).all()
    assert [batch.tokens.shape[1] for batch in batches] == [4, 2]
    assert [batch.first for batch in batches] == [True, False]
    assert sum(batch.answers for batch in batches) == 18
    rows = np.concatenate([batch.rows for batch in batches])
    assert sorted(rows) == list(range(len(streams)))


def test_the_last_token_is_foreseen_by_a_single_stream():
    _, tokens, targets = read(TokenStreams.of(np.arange(11, dtype=np.int32), 1, 4))
    assert tokens.tolist() == [[*range(10)]]
    assert targets[0, -1] == 10


def test_an_epoch_starts_anywhere_and_goes_round():
    tokens = np.arange(21, dtype=np.int32)
    streams = TokenStreams.of(tokens, 3, 4, seed=1)
    starts = set()
    for epoch in range(6):
        _, seen, targets = read(streams.in_epoch(epoch))
        assert sorted(seen.ravel()) == tokens.tolist()
        assert ((seen + 1) % 21 == targets).all()
        starts.add(int(seen[0, 0]))
        _, again, _ = read(streams.in_epoch(epoch))
        assert (again == seen).all()
    assert len(starts) > 1


@pytest.mark.parametrize(("count", "windows"), [(1, 1), (3, 1), (6, 2), (100, 2)])
def test_a_limit_on_samples_ends_an_epoch_early(count, windows):
    streams = TokenStreams.of(np.arange(20, dtype=np.int32), 3, 4)
    assert len(list(streams.batches(3, np.arange(count)))) == windows


@pytest.mark.parametrize(("length", "streams"), [(2, 1), (5, 1), (9, 2), (40, 9), (400, 32)])
def test_no_more_streams_than_there_are_windows(length, streams):
    made = TokenStreams.of(np.zeros(length, dtype=np.int32), 32, 4)
    assert made.streams == streams
    assert sum(batch.answers for batch in made.batches(1)) > 0
