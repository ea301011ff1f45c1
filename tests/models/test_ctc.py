"""Connectionist temporal classification against the definition: every path, one by one."""

import itertools
import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn.functional import ctc_loss

from cellwright.errors import DataError, SettingError
from cellwright.models.ctc import align, collapse, prefix_beam, steps_needed


def scores(steps, symbols, seed):
    values = np.random.default_rng(seed).normal(size=(steps, symbols + 1)) * 2
    return values - np.log(np.exp(values).sum(1, keepdims=True))


def every_text(values):
    """Text -> probability, by trying all paths."""
    steps, width = values.shape
    found = {}
    for path in itertools.product(range(width), repeat=steps):
        text = tuple(collapse(path))
        chance = math.exp(sum(values[t, s] for t, s in enumerate(path)))
        found[text] = found.get(text, 0.0) + chance
    return found


@pytest.mark.parametrize(
    ("path", "text"), [([], []), ([0, 0], []), ([1, 1, 0, 1, 2, 2], [1, 1, 2])]
)
def test_a_path_spells_what_is_left(path, text):
    assert collapse(path) == text


@given(st.integers(0, 10**6), st.integers(1, 5), st.integers(1, 3))
@settings(max_examples=40)
def test_a_wide_search_sums_all_paths(seed, steps, symbols):
    values = scores(steps, symbols, seed)
    truth = every_text(values)
    found = prefix_beam(values, 1000)
    best = max(truth, key=truth.__getitem__)
    assert found[0].symbols == best
    for each in found:
        assert math.exp(each.log_probability) == pytest.approx(truth[each.symbols], rel=1e-3)
    assert sum(math.exp(each.log_probability) for each in found) == pytest.approx(1, rel=1e-3)


def test_the_best_path_is_not_always_the_best_text():
    # Graves' example: blank is best at both steps, yet the paths of "a" add up to more.
    values = np.log([[0.6, 0.4], [0.6, 0.4]])
    assert collapse(values.argmax(1)) == []
    (best, *_) = prefix_beam(values, 4)
    assert best.symbols == (1,)
    assert math.exp(best.log_probability) == pytest.approx(1 - 0.36)


def test_a_language_model_decides_where_the_scores_do_not():
    values = np.log([[0.1, 0.45, 0.45], [0.98, 0.01, 0.01], [0.1, 0.45, 0.45]])
    asked = []

    def alternating(before):  # 1 and 2 follow each other
        asked.append(before)
        chances = np.full(3, 1e-3)
        chances[{(): 2, (2,): 1}.get(before, 0)] = 0.9
        return np.log(chances)

    assert prefix_beam(values, 8, next_symbol=alternating)[0].symbols == (2, 1)
    assert len(asked) == len(set(asked))  # nothing is asked twice
    best = prefix_beam(values, 8, next_symbol=alternating, weight=0.7, bonus=0.25)[0]
    language = 0.7 * 3 * math.log(0.9) + 2 * 0.25
    assert best.score == pytest.approx(best.log_probability + language)


def test_the_end_is_charged_to_every_text_also_the_empty_one():
    values = np.log([[0.05, 0.95]])
    found = prefix_beam(values, 4, next_symbol=lambda before: np.array([-15.0, -0.1]), weight=0.5)
    assert [each.symbols for each in found] == [(1,), ()]
    assert found[1].score == pytest.approx(math.log(0.05) - 0.5 * 15)


def test_a_bonus_makes_texts_longer():
    values = np.log([[0.7, 0.3]] * 3)
    assert prefix_beam(values, 8)[0].symbols == (1,)
    assert prefix_beam(values, 8, bonus=3.0)[0].symbols == (1, 1)
    assert prefix_beam(values, 8, bonus=-3.0)[0].symbols == ()


def test_widths_and_no_steps():
    assert prefix_beam(np.zeros((0, 3)))[0].symbols == ()
    assert len(prefix_beam(scores(5, 3, 0), 2)) == 2
    for width in (0, -1, True, 2.0):
        with pytest.raises(SettingError, match="width="):
            prefix_beam(scores(2, 2, 0), width)


@given(st.integers(0, 10**6), st.lists(st.integers(1, 3), max_size=3), st.integers(1, 6))
@settings(max_examples=60)
def test_an_alignment_is_the_best_of_all_paths(seed, target, steps):
    values = scores(steps, 3, seed)
    if steps < steps_needed(target):
        with pytest.raises(DataError, match=f"{steps} steps cannot spell a text that needs"):
            align(values, target)
        return
    spelling = (
        path for path in itertools.product(range(4), repeat=steps) if collapse(path) == target
    )
    best = max(spelling, key=lambda path: sum(values[t, s] for t, s in enumerate(path)))
    spans, log_probability = align(values, target)
    assert log_probability == pytest.approx(sum(values[t, s] for t, s in enumerate(best)))
    path = [0] * steps
    for symbol, (start, end) in zip(target, spans, strict=True):
        assert start < end
        path[start:end] = [symbol] * (end - start)
    assert path == list(best)


def test_no_steps_spell_the_empty_text():
    assert align(np.zeros((0, 3)), []) == ([], 0.0)
    with pytest.raises(DataError, match="0 steps cannot spell a text that needs 1"):
        align(np.zeros((0, 3)), [1])


def test_the_loss_of_torch_means_the_same():
    values, target = scores(6, 3, 1), [2, 2, 1]
    truth = every_text(values)[tuple(target)]
    loss = ctc_loss(
        torch.from_numpy(values)[:, None], torch.tensor([target]), [6], [3], reduction="sum"
    )
    assert math.exp(-float(loss)) == pytest.approx(truth)
