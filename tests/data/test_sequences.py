"""What counts as sequences, and what the user is told where it does not."""

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from scipy import sparse

from cellwright.data import Sequences, as_sequences
from cellwright.errors import DataError, ShapeError

NAN = float("nan")


@pytest.mark.parametrize(
    ("given_x", "shapes"),
    [
        (np.zeros((3, 4, 2)), [(4, 2)] * 3),
        (np.zeros((3, 4)), [(4, 1)] * 3),
        (np.zeros((3, 4), dtype=bool), [(4, 1)] * 3),
        (torch.zeros(3, 4, 2, requires_grad=True), [(4, 2)] * 3),
        (pd.DataFrame(np.zeros((3, 4))), [(4, 1)] * 3),
        ([np.zeros((2, 3)), np.zeros((5, 3))], [(2, 3), (5, 3)]),
        ([np.zeros(2), np.zeros(5)], [(2, 1), (5, 1)]),
        ([torch.zeros(2, 3), torch.zeros(1, 3)], [(2, 3), (1, 3)]),
        ([[1, 2, 3], [4]], [(3, 1), (1, 1)]),
        ([[[1, 2], [3, 4]], [[5, 6]]], [(2, 2), (1, 2)]),
    ],
)
def test_every_form_of_sequences_is_taken(given_x, shapes):
    sequences = as_sequences(given_x)
    assert [value.shape for value in sequences] == shapes
    assert sequences.features == shapes[0][1]
    assert sequences.lengths.tolist() == [time for time, _ in shapes]


@pytest.mark.parametrize("convert", [torch.Tensor.bfloat16, torch.Tensor.half, torch._neg_view])
def test_tensors_that_numpy_does_not_take_as_they_are(convert):
    x = torch.arange(12.0).view(2, 3, 2)
    expected = convert(x).float()
    for x_given in (convert(x), list(convert(x))):
        first, second = as_sequences(x_given)
        assert first.dtype == np.float32
        assert_array_equal(second, expected[1].resolve_neg())


def test_steps_of_nan_behind_a_sample_are_cut_off():
    x = np.arange(12.0).reshape(2, 3, 2)
    x[1, 1:] = NAN
    sequences = as_sequences(x)
    assert sequences.lengths.tolist() == [3, 1]
    array, lengths = sequences.padded(np.array([1, 0]))
    assert lengths.tolist() == [1, 3]
    assert_array_equal(array[0], [[6, 7], [0, 0], [0, 0]])
    assert_array_equal(array[1], x[0])


@pytest.mark.parametrize(
    ("x", "error", "words"),
    [
        ([], DataError, "X is empty"),
        (np.zeros((0, 4, 2)), DataError, "X is empty"),
        ([np.zeros((0, 2))], DataError, r"X\[0\] has no steps"),
        (np.zeros((2, 0, 2)), DataError, r"X\[0\] has no steps"),
        (np.full((1, 3, 1), NAN), DataError, r"X\[0\] has no steps"),
        ([[0.0], [0.0, NAN, 1.0]], DataError, r"X\[1\] is NaN at step 1, feature 0"),
        (np.array([[[1.0, NAN]]]), DataError, r"X\[0\] is NaN at step 0, feature 1"),
        ([[0.0, np.inf]], DataError, r"X\[0\] is infinite at step 1"),
        (np.zeros((2, 3, 4, 5)), ShapeError, r"\(sample, time, features\).*\(2, 3, 4, 5\)"),
        (np.zeros(3), ShapeError, r"\(sample, time, features\)"),
        ([np.zeros((2, 2, 2))], ShapeError, r"X\[0\]: expected \(time, features\)"),
        ([1.0, 2.0], ShapeError, r"X\[0\]: expected \(time, features\)"),
        ([[[1], [2, 3]]], ShapeError, r"X\[0\]: not an array"),
        ([np.zeros((2, 3)), np.zeros((2, 4))], ShapeError, r"X\[1\].*features=3\), got \(2, 4\)"),
        (np.zeros((2, 3, 0)), ShapeError, "no features"),
        (np.array([["a", "b"]]), DataError, "expected numbers"),
        ([["a", "b"]], DataError, r"X\[0\]: expected numbers"),
        (np.zeros((1, 2), dtype=complex), DataError, "expected numbers"),
        ("text", DataError, "got str"),
        (5, DataError, "got int"),
        ({"a": [1.0]}, DataError, "got dict"),
        (None, DataError, "got NoneType"),
    ],
)
def test_what_is_wrong_is_named(x, error, words):
    with pytest.raises(error, match=words):
        as_sequences(x)


def test_the_number_of_features_is_held_against_what_is_known():
    with pytest.raises(ShapeError, match=r"features=3\), got \(4, 2\)"):
        as_sequences(np.zeros((1, 4, 2)), features=3)
    checked = as_sequences(np.zeros((1, 4, 2)))
    with pytest.raises(ShapeError, match="features=3"):
        as_sequences(checked, features=3)
    assert as_sequences(checked, features=2) is checked


def test_the_callers_array_is_not_changed():
    x = np.ones((2, 3, 1), dtype=np.float32)
    x.flags.writeable = False
    sequences = as_sequences(x)
    array, _ = sequences.padded(np.array([0, 1]))
    array += 1
    assert (x == 1).all()


@pytest.mark.parametrize("per_feature", [True, False])
def test_moments_are_those_of_all_existing_steps(per_feature):
    x = [np.random.default_rng(n).normal(n, 2, (n + 1, 3)) for n in range(4)]
    steps = np.concatenate(x)
    axis = 0 if per_feature else None
    for form in (x, np.stack([steps, steps])):
        mean, spread = as_sequences(form).moments(per_feature)
        assert mean.shape == spread.shape == (3,)
        assert_allclose(mean, np.broadcast_to(steps.mean(axis), 3), rtol=1e-5, atol=1e-6)
        assert_allclose(spread, np.broadcast_to(steps.std(axis), 3), rtol=1e-5)


@given(st.integers(0, 3), st.integers(0, 2))
def test_the_fingerprint_tells_any_two_data_sets_apart(sample, step):
    x = np.arange(24.0).reshape(4, 3, 2)
    same = as_sequences(x).fingerprint
    assert as_sequences(list(x)).fingerprint == same
    x[sample, step, 0] += 0.5
    assert as_sequences(x).fingerprint != same
    assert as_sequences(np.arange(24.0).reshape(4, 2, 3)).fingerprint != same


@pytest.mark.parametrize(
    ("given_x", "dtype"),
    [
        (np.zeros((2, 3)), np.float64),
        (np.zeros((2, 3), np.int64), np.float64),
        ([np.zeros(3, np.float32), np.zeros(2)], np.float64),
        (np.zeros((2, 3), np.float32), np.float32),
        (np.zeros((2, 3), np.uint8), np.float32),
        ([np.zeros(3, bool), np.zeros(2, np.float16)], np.float32),
    ],
)
def test_no_digits_are_lost(given_x, dtype):
    sequences = as_sequences(given_x)
    assert [value.dtype for value in sequences] == [dtype] * 2
    assert sequences.padded(np.array([0, 1]))[0].dtype == dtype


def test_moments_see_a_small_change_of_a_large_number():
    x = 1.7e9 + np.array([[[0.0], [0.5]], [[0.25], [0.75]]])
    mean, spread = as_sequences(x).moments(per_feature=True)
    assert mean[0] == 1.7e9 + 0.375
    assert_allclose(spread, np.std([0, 0.5, 0.25, 0.75]))
    assert as_sequences(np.full((9, 7, 1), 0.1)).moments(per_feature=True)[1] == 0


@pytest.mark.parametrize("ragged", [True, False])
def test_features_are_reordered_by_name(ragged):
    x = [np.ones((1 + ragged, 2)) * [1, 2], np.ones((1, 2)) * [3, 4]]
    sequences = Sequences(x if ragged else np.stack(x), ("a", "b"))
    turned = sequences.take(np.array([1])).in_order(["b", "a"])
    assert turned.names == ("b", "a")
    assert turned.values[0].tolist() == [[4, 3]]
    with pytest.raises(DataError, match=r"missing: c; unknown: b"):
        sequences.in_order(["c", "a"])


def test_a_mapped_array_stays_in_its_file(tmp_path):
    numbers = np.random.default_rng(0).normal(size=(20, 5, 3)).astype(np.float32)
    np.save(tmp_path / "x.npy", numbers)
    mapped = np.load(tmp_path / "x.npy", mmap_mode="r")
    sequences = as_sequences(mapped)
    part = sequences.take(np.array([7, 3]))
    assert np.shares_memory(part.values[0], mapped)
    whole = as_sequences(numbers)
    np.testing.assert_array_equal(part.padded(np.array([0, 1]))[0], numbers[[7, 3]])
    np.testing.assert_allclose(sequences.moments(True), whole.moments(True), rtol=1e-6)
    assert sequences.fingerprint == whole.fingerprint


def test_columns_of_tables_are_features_with_names():
    tables = [pd.DataFrame({"a": [1, 2], "b": [3, 4]}), pd.DataFrame({"b": [7.5], "a": [5.5]})]
    found = as_sequences(tables)
    assert found.names == ("a", "b")
    assert [value.tolist() for value in found] == [[[1, 3], [2, 4]], [[5.5, 7.5]]]
    assert as_sequences([table.set_axis([0, 1], axis=1) for table in tables]).names is None
    with pytest.raises(DataError, match=r"X\[1\]: its columns .* lacks b, c"):
        as_sequences([tables[0], tables[1].rename(columns={"b": "c"})])
    with pytest.raises(DataError, match=r"X\[0\] has two columns 'a'"):
        as_sequences([tables[0].set_axis(["a", "a"], axis=1)])


def test_a_sparse_matrix_is_refused():
    with pytest.raises(DataError, match=r"sparse matrix; give X.toarray\(\)"):
        as_sequences(sparse.csr_matrix(np.eye(3)))
