"""Answers at every step: their common form, and what is refused by sample and step."""

import numpy as np
import pandas as pd
import pytest
import torch

from cellwright.data.sequences import as_sequences
from cellwright.data.step_answers import as_step_answers
from cellwright.data.step_batches import StepExamples, cut
from cellwright.errors import DataError, ShapeError

LENGTHS = np.array([3, 1, 2])


def test_labels_of_all_samples_stand_behind_each_other():
    answers = as_step_answers([["a", "b", "a"], ["c"], ["b", "b"]], LENGTHS, "label")
    assert answers.columns[0].tolist() == list("abacbb")
    assert answers.known.all()
    assert answers.single
    assert [answers.place(step) for step in range(6)] == [
        *((0, 0), (0, 1), (0, 2), (1, 0), (2, 0), (2, 1)),
    ]


@pytest.mark.parametrize(
    "y",
    [
        [["a", None, "b"], [None], ["b", "b"]],
        [["a", "", "b"], [""], ["b", "b"]],
        [np.array(["a", None, "b"], dtype=object), [None], np.array(["b", "b"])],
        [["a", np.nan, "b"], [float("nan")], ["b", "b"]],
        [["a", pd.NA, "b"], [pd.NaT], pd.Series(["b", "b"], dtype="string")],
        [pd.Series(["a", None, "b"], dtype="string"), [""], ["b", "b"]],
    ],
)
def test_what_is_not_known_does_not_count(y):
    answers = as_step_answers(y, LENGTHS, "label")
    assert answers.known[:, 0].tolist() == [True, False, True, False, True, True]
    assert answers.columns[0][answers.known[:, 0]].tolist() == ["a", "b", "b", "b"]


def test_whole_numbers_with_gaps_stay_whole_numbers():
    answers = as_step_answers([[1, None, 2], [np.nan], [2, 3]], LENGTHS, "label")
    assert answers.columns[0].dtype.kind == "i"
    assert answers.columns[0][answers.known[:, 0]].tolist() == [1, 2, 2, 3]


def test_several_answers_have_a_column_each():
    rows = [[("a", 1), ("b", 2), ("a", 1)], [("a", 1)], [("b", 2), ("b", 2)]]
    y = [np.array(row, dtype=object) for row in rows]
    answers = as_step_answers(y, LENGTHS, "label")
    assert not answers.single
    assert [column.tolist() for column in answers.columns] == [list("abaabb"), [1, 2, 1, 1, 2, 2]]


def test_a_row_of_answers_may_be_unknown_as_a_whole():
    y = [[None, ("a", "b"), ("b", None)], [("a", "a")], [("b", "b"), ("a", "b")]]
    answers = as_step_answers(y, LENGTHS, "label")
    assert answers.known[:3].tolist() == [[False, False], [True, True], [True, False]]
    assert answers.columns[1].tolist() == list("bbbabb")


def test_numbers_may_have_gaps():
    gaps = as_step_answers([[0.5, pd.NA, 1], [""], [None, 3]], LENGTHS, "number")
    assert gaps.known[:, 0].tolist() == [True, False, True, False, False, True]
    answers = as_step_answers([[0.5, np.nan, 1], [2], [None, 3]], LENGTHS, "number")
    assert answers.known[:, 0].tolist() == [True, False, True, True, False, True]
    assert answers.columns[0].tolist() == [0.5, 0, 1, 2, 0, 3]


@pytest.mark.parametrize(
    ("y", "kind", "error", "said"),
    [
        ([["a"] * 3], "label", ShapeError, "X has 3 samples but y has answers for 1"),
        ([["a"] * 3, ["b"], ["a"]], "label", ShapeError, r"X\[2\] has 2 steps but y\[2\] has 1"),
        ([np.zeros((3, 2)), [1], [1, 2]], "label", ShapeError, r"y\[1\]: expected \(time, 2\)"),
        ([[0.5, 1, 2], [1], [1, 2]], "label", DataError, "say target='number'"),
        ([["a", 1, "b"], ["b"], ["b", "b"]], "label", DataError, "some labels are texts and"),
        (
            [[("a", "b"), ("a",), None], [0], [0]],
            "label",
            ShapeError,
            r"\[0\]\[1\]: expected a row",
        ),
        (
            [[("a", "b"), "a", None], [0], [0]],
            "label",
            ShapeError,
            r"\[0\]\[1\]: expected a row",
        ),
        ([[1, 1, 1], ["b"], ["b", "b"]], "label", DataError, "some labels are texts and others"),
        ([[None] * 3, [None], [None] * 2], "label", DataError, "no label is known"),
        ([["a"] * 3, ["b"], ["b", "b"]], "number", DataError, "expected numbers"),
        ([[0, 1, np.inf], [1], [1, 2]], "number", DataError, r"y\[0\] is infinite at step 2"),
        ([[np.nan] * 3, [np.nan], [np.nan] * 2], "number", DataError, "no number is known"),
        ("aaab", "label", DataError, "expected a list with an array a sample, got str"),
        ([[[["a"]]] * 3, ["b"], ["a", "b"]], "label", ShapeError, r"y\[0\]\[0\]: expected a row"),
        ([np.zeros((3, 1, 1)), [1], [1, 2]], "label", ShapeError, r"y\[0\]: expected \(time,\)"),
    ],
)
def test_bad_answers_are_refused_by_sample_and_step(y, kind, error, said):
    with pytest.raises(error, match=said):
        as_step_answers(y, LENGTHS, kind)


def test_batches_have_the_targets_of_their_samples():
    rng = np.random.default_rng(0)
    lengths = [3, 1, 5, 2]
    x = as_sequences([np.full((n, 2), 10.0 * row) for row, n in enumerate(lengths)])
    targets = torch.arange(11)[:, None] * torch.tensor([1, 10])
    counted = torch.from_numpy(rng.random((11, 2)) < 0.7)
    examples = StepExamples(x, targets, counted)
    starts = [0, 3, 4, 9]
    for chosen in (examples, examples.take(np.array([0, 1, 2, 3]))):
        for batch in chosen.batches(2, np.array([3, 0, 2, 1])):
            for place, row in enumerate(batch.rows):
                steps = slice(starts[row], starts[row] + lengths[row])
                assert torch.equal(batch.targets[place, : lengths[row]], targets[steps])
                assert torch.equal(batch.counted[place, : lengths[row]], counted[steps])
                assert not batch.counted[place, lengths[row] :].any()
    few = examples.take(np.array([2, 1]))
    assert few.targets[:, 0].tolist() == [4, 5, 6, 7, 8, 3]
    assert few.lengths.tolist() == [5, 1]


def test_pieces_are_as_even_as_can_be():
    x = as_sequences([np.arange(7.0), np.arange(2.0)])
    pieces, counts = cut(x, 3)
    assert counts.tolist() == [3, 1]
    assert [value[:, 0].tolist() for value in pieces.values] == [[0, 1, 2], [3, 4], [5, 6], [0, 1]]
    assert cut(x, None)[0] is x
    assert cut(x, 7)[0] is x
