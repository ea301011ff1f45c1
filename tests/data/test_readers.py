"""Data sets by name and path, and their division."""

import numpy as np
import pytest

from cellwright.data import read, read_samples
from cellwright.errors import DataError, ShapeError

X = np.random.default_rng(0).normal(size=(20, 5, 2))
Y = np.arange(20) % 2


@pytest.fixture
def save(tmp_path):
    def save(**arrays):
        path = tmp_path / "some.npz"
        np.savez(path, **arrays)
        return str(path)

    return save


def test_digits_are_divided_by_label_and_always_alike():
    first, again = read("digits"), read("digits")
    assert (len(first.train.x), len(first.test.x)) == (1437, 360)
    assert first.train.x.values.shape[1:] == (8, 8)
    assert first.train.x.values.max() == 1
    assert first.test.ids == again.test.ids
    assert not set(first.test.ids) & set(first.train.ids)
    share = np.bincount(first.test.y) / np.bincount(np.append(first.test.y, first.train.y))
    assert np.ptp(share) < 0.02


def test_the_test_fraction_is_what_was_asked_for():
    assert len(read("digits", test_fraction=0.5).test.x) == 899


@pytest.mark.parametrize("fraction", [0.0, 1.0, 1.5, -1.0, 0.001, 0.999])
def test_a_division_that_cannot_be_made_is_refused(save, fraction):
    words = "cannot be divided" if 0 < fraction < 1 else "must lie between 0 and 1"
    with pytest.raises(DataError, match=words):
        read(save(X=X, y=Y), test_fraction=fraction)


def test_an_npz_with_its_own_test_part_keeps_it(save):
    path = save(X_train=X, y_train=Y, X_test=X[:4], y_test=Y[:4])
    dataset = read(path)
    assert (dataset.name, len(dataset.train.x), len(dataset.test.x)) == ("some", 20, 4)
    assert len(read_samples(path).x) == 4


def test_an_npz_without_test_part_is_divided(save):
    dataset = read(save(X=X, y=Y))
    assert (len(dataset.train.x), len(dataset.test.x)) == (16, 4)
    assert sorted(dataset.train.ids + dataset.test.ids) == list(range(20))
    for part in (dataset.train, dataset.test):
        assert part.y.tolist() == [n % 2 for n in part.ids]


def test_samples_need_no_labels(save):
    samples = read_samples(save(X=X))
    assert samples.y is None
    assert samples.ids == list(range(20))


def test_a_csv_is_read_and_divided(tmp_path):
    rows = [f"s{n},{t},{n}.{t},{'ab'[n % 2]}" for n in range(20) for t in range(2)]
    path = tmp_path / "some.csv"
    path.write_text("id,step,value,label\n" + "\n".join(rows))
    dataset = read(str(path))
    assert (len(dataset.train.x), len(dataset.test.x)) == (16, 4)
    assert all(
        label == "ab"[int(i[1:]) % 2]
        for i, label in zip(dataset.test.ids, dataset.test.y, strict=True)
    )


@pytest.mark.parametrize(
    ("arrays", "error", "words"),
    [
        ({"y": Y}, DataError, "there is no array 'X'; it holds y"),
        ({"X": X}, DataError, "no labels to learn; .* column 'label', a .npz"),
        ({"X": X, "y": Y[:5]}, DataError, r"y must be \(20,\) like X, got \(5,\)"),
        ({"X": X, "y": Y[:, None]}, DataError, r"y must be \(20,\)"),
        ({"X": X[0, 0], "y": Y}, ShapeError, r"X: expected \(sample"),
        ({"X": np.array("a"), "y": Y}, (DataError, ShapeError), "X: expected"),
        ({"X_train": X, "y_train": Y}, DataError, "no array 'X_test'"),
        ({"X": X, "y": np.arange(20)}, DataError, "cannot be divided"),
        ({"X": X, "y": np.linspace(0, 1, 20)}, DataError, "not whole numbers"),
        ({}, DataError, "there is no array 'X'"),
    ],
)
def test_what_an_npz_lacks_is_named(save, arrays, error, words):
    with pytest.raises(error, match=words):
        read(save(**arrays))


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("digts", "no data set 'digts'. Did you mean 'digits'?"),
        ("data.txt", "no data set 'data.txt'"),
        ("missing.csv", "there is no file missing.csv"),
        ("missing.npz", "there is no file missing.npz"),
    ],
)
def test_an_unknown_source_is_named(source, words):
    with pytest.raises(DataError, match=words):
        read(source)


def test_a_folder_goes_with_a_name_only(save, tmp_path):
    with pytest.raises(DataError, match="data folder goes with a named data set"):
        read(save(X=X, y=Y), tmp_path)
    with pytest.raises(DataError, match="data folder goes with mnist, not with digits"):
        read("digits", tmp_path)


def test_the_fingerprint_tells_changed_labels_and_sequences(save):
    first = read(save(X=X, y=Y)).fingerprint
    assert read(save(X=X, y=Y)).fingerprint == first
    assert read(save(X=X, y=1 - Y)).fingerprint != first
    assert read(save(X=X + 1e-9, y=Y)).fingerprint != first
