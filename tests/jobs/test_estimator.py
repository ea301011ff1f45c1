"""`SequenceClassifier` with scikit-learn's habits, and what it makes of data."""

import copy
import pickle

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from scipy import sparse
from sklearn.base import clone, is_classifier
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer
from spoiled_samples import sequences, spoiled, texts

import cellwright as cw
from cellwright.errors import CellwrightError, DataError, SettingError, ShapeError


def classifier(**options):
    defaults = {"layers": [6], "epochs": 8, "batch_size": 8, "learning_rate": 0.02}
    return cw.SequenceClassifier(**{**defaults, **options})


def padded(x):
    longest = max(map(len, x))
    array = np.full((len(x), longest, x[0].shape[1]), np.nan)
    for row, value in zip(array, x, strict=True):
        row[: len(value)] = value
    return array


@pytest.fixture
def fitted(waves):
    return classifier().fit(*waves)


def test_it_learns(fitted, waves):
    x, y = waves
    assert fitted.score(x, y) > 0.95
    assert fitted.classes_.tolist() == ["down", "up"]
    assert fitted.n_features_in_ == 2
    assert is_classifier(fitted)
    assert [row["epoch"] for row in fitted.history_] == list(range(1, 9))


def test_predictions_are_the_most_probable_class(fitted, waves):
    x, _ = waves
    chances = fitted.predict_proba(x)
    assert chances.shape == (len(x), 2)
    assert_allclose(chances.sum(1), 1)
    assert_array_equal(fitted.predict(x), fitted.classes_[chances.argmax(1)])


def test_the_form_of_the_data_does_not_matter(fitted, waves):
    x, y = waves
    array = padded(x)
    again = classifier().fit(torch.from_numpy(array), np.array(y))
    for form in (x, array, torch.from_numpy(array), [torch.from_numpy(value) for value in x]):
        assert_array_equal(again.predict_proba(form), fitted.predict_proba(x))


def test_one_feature_may_come_without_its_axis(waves):
    x, y = waves
    flat = np.nan_to_num(padded(x)[:, :, 0])
    first = classifier().fit(flat, y).predict_proba(flat)
    assert_array_equal(first, classifier().fit(flat[:, :, None], y).predict_proba(flat))
    assert_array_equal(
        first, classifier().fit(pd.DataFrame(flat), pd.Series(y)).predict_proba(flat)
    )


@pytest.mark.parametrize(
    ("labels", "dtype"),
    [
        (["a", "bb"], "U"),
        ([7, -3], "i"),
        (np.array([7, 250], np.uint8), "u"),
        ([True, False], "b"),
        ([1.0, 2.0], "f"),
        (torch.tensor([3, 5]), "i"),
        (np.array(["a", "bb"], object), "U"),
    ],
)
def test_labels_of_every_type_come_back(waves, labels, dtype, tmp_path):
    x, y = waves
    y = [labels[int(label == "up")] for label in y]
    y = torch.stack(y) if isinstance(labels, torch.Tensor) else np.array(y)
    model = classifier().fit(x, y)
    assert model.predict(x).dtype.kind == dtype
    assert model.score(x, y) > 0.9
    model.save(tmp_path / "m.cw")
    loaded = cw.load(tmp_path / "m.cw")
    assert_array_equal(loaded.predict(x), model.predict(x))
    assert loaded.classes_.dtype.kind == dtype


@pytest.mark.parametrize(
    "options",
    [
        {"cell": "gru", "bidirectional": True, "layers": [5, 3]},
        {"cell": "elman", "initialization": "identity", "layers": 5},
        {"cell": "projected_lstm", "sizes": {"proj": 3}},
        {"cell": "peephole_lstm", "projection": 4, "pooling": "mean"},
        {"pooling": "max", "dropout": 0.2, "recurrent_dropout": 0.2, "zoneout": 0.2},
        {"optimizer": "sgd", "schedule": "cosine", "gradient_clip": None},
        {"optimizer": "rmsprop", "schedule": "constant", "label_smoothing": 0.1},
        {"optimizer": "adam", "scaling": "none", "weight_decay": 0},
        {"scaling": "global", "validation_fraction": 0, "initialization": {"recurrent": "zeros"}},
        {"precision": "64-true", "projection": 3},
        {"precision": "bf16-mixed", "projection": 3},
    ],
)
def test_every_option_learns_and_survives_its_file(waves, options, tmp_path):
    x, y = waves
    model = classifier(**options).fit(x, y)
    assert model.history_[-1]["train_loss"] < model.history_[0]["train_loss"]
    model.save(tmp_path / "m.cw")
    loaded = cw.load(tmp_path / "m.cw")
    assert_array_equal(loaded.predict_proba(x), model.predict_proba(x))
    assert loaded.options() == model.options()


def test_parameters_are_got_set_and_cloned(fitted):
    model = classifier(zoneout=0.25)
    assert model.get_params()["zoneout"] == 0.25
    assert model.set_params(layers=[3], cell="gru") is model
    copied = clone(model)
    assert copied.get_params() == model.get_params()
    assert "zoneout=0.25" in repr(model)
    with pytest.raises(ValueError, match="Invalid parameter"):
        model.set_params(zonout=0.1)
    with pytest.raises(NotFittedError):
        clone(fitted).predict([[1.0]])
    with pytest.raises(NotFittedError):
        clone(fitted).save("nowhere")


def test_it_works_in_a_pipeline_and_a_grid(waves):
    x, y = waves
    array = np.nan_to_num(padded(x))
    pipeline = make_pipeline(FunctionTransformer(lambda values: values * 2), classifier(epochs=4))
    grid = GridSearchCV(
        pipeline,
        {"sequenceclassifier__layers": [[2], [4]], "sequenceclassifier__cell": ["gru"]},
        cv=2,
        n_jobs=1,
        error_score="raise",
    )
    assert grid.fit(array, np.array(y)).best_score_ > 0.5
    assert grid.best_params_["sequenceclassifier__cell"] == "gru"
    assert grid.predict(array[:2]).shape == (2,)


def test_ragged_lists_and_numpy_numbers_work_in_a_grid(waves):
    x, y = waves
    grid = GridSearchCV(
        classifier(epochs=2),
        {"layers": np.array([2, 3]), "dropout": np.array([0.0, 0.1]), "batch_size": np.array([8])},
        cv=2,
        error_score="raise",
    )
    grid.fit(x, y)
    assert len(cross_val_score(classifier(epochs=1), x, y, cv=2, error_score="raise")) == 2


def test_a_fitted_model_is_copied_and_pickled(fitted, waves):
    x, _ = waves
    for copied in (copy.deepcopy(fitted), pickle.loads(pickle.dumps(fitted))):
        assert_array_equal(copied.predict_proba(x), fitted.predict_proba(x))


def test_a_seed_repeats_and_another_does_not(waves):
    x, y = waves
    options = {"dropout": 0.2, "zoneout": 0.1, "epochs": 2}
    first = classifier(**options).fit(x, y).predict_proba(x)
    assert_array_equal(classifier(**options).fit(x, y).predict_proba(x), first)
    other = classifier(random_state=1, **options).fit(x, y).predict_proba(x)
    assert not np.array_equal(other, first)


def test_the_callers_random_numbers_are_left_alone(waves):
    x, y = waves
    torch.manual_seed(5)
    np.random.seed(5)
    before = torch.get_rng_state(), np.random.get_state()[1].copy()
    model = classifier(dropout=0.2, zoneout=0.1, epochs=2).fit(x, y)
    model.predict(x)
    assert torch.equal(torch.get_rng_state(), before[0])
    assert_array_equal(np.random.get_state()[1], before[1])


@pytest.mark.parametrize("fraction", [0.0, 0.2])
def test_validation_data_are_set_aside(waves, fraction):
    model = classifier(validation_fraction=fraction, epochs=1).fit(*waves)
    assert ("validation_loss" in model.history_[0]) is bool(fraction)
    assert model.history_[0]["samples"] == len(waves[0]) - int(np.ceil(fraction * 48))


def test_a_feature_that_never_changes_does_no_harm(waves):
    x, y = waves
    x = [np.column_stack([value, np.full(len(value), 1e6)]) for value in x]
    model = classifier().fit(x, y)
    assert model.score(x, y) > 0.95
    assert float(model.network_.spread[2]) == 1


@pytest.mark.parametrize(
    ("y", "error", "words"),
    [
        (["a"] * 48, DataError, "one class only"),
        (["a", "b"] * 23, ShapeError, "X has 48 samples but y has 46 labels"),
        ([0, [1, 2]] * 24, ShapeError, r"y: expected \(sample,\), got rows"),
        (np.zeros((48, 1)), ShapeError, r"y: expected \(sample,\), got \(48, 1\)"),
        (np.linspace(0, 1, 48), DataError, "not whole numbers"),
        ([0.0, np.nan] * 24, DataError, "not whole numbers"),
        ([0.0, np.inf] * 24, DataError, "not whole numbers"),
        ([None, "a"] * 24, DataError, "expected whole numbers, texts or truths, got object"),
        ([b"a", b"b"] * 24, DataError, "expected whole numbers"),
        (np.array(["2020", "2021"] * 24, "M8[Y]"), DataError, "expected whole numbers"),
        (["a"] * 47 + ["b"], DataError, "validation_fraction=0.1: the data cannot be divided"),
        (list(range(48)), DataError, "validation_fraction=0.1: the data cannot be divided"),
    ],
)
def test_labels_that_cannot_be_used_are_refused(waves, y, error, words):
    with pytest.raises(error, match=words):
        classifier().fit(waves[0], y)


def test_data_that_cannot_be_used_are_refused(waves, fitted):
    x, y = waves
    broken = [value.copy() for value in x]
    broken[5][1, 0] = np.nan
    with pytest.raises(DataError, match=r"X\[5\] is NaN at step 1, feature 0"):
        classifier().fit(broken, y)
    with pytest.raises(DataError, match=r"X\[5\] is NaN at step 1, feature 0"):
        fitted.predict(broken)
    with pytest.raises(ShapeError, match=r"X\[0\]: expected \(time, features=2\)"):
        fitted.predict(np.zeros((1, 4, 3)))
    with pytest.raises(ShapeError, match="features=2"):
        fitted.predict(cw.data.as_sequences(np.zeros((1, 4, 1))))
    with pytest.raises(DataError, match="X is empty"):
        fitted.predict([])


@pytest.mark.parametrize("label", ["sideways", 3, True])
def test_a_label_never_seen_is_named(waves, fitted, label):
    x, y = waves
    y = [label] * 2
    with pytest.raises(DataError, match=r"y\[0\] is .*never seen in training; known: down, up"):
        fitted.score(x[:2], y)


def test_sample_weights_count_in_the_score(fitted, waves):
    x, _ = waves
    y = fitted.predict(x)
    wrong = np.where(y == "up", "down", "up")
    mixed = np.append(y[:1], wrong[1:2])
    assert fitted.score(x[:2], mixed, sample_weight=[3, 1]) == 0.75


def test_patience_without_validation_is_refused(waves):
    with pytest.raises(SettingError, match="patience watches validation data"):
        classifier(patience=2, validation_fraction=0).fit(*waves)


def test_what_no_machine_has_is_refused_in_words(waves):
    # A matrix of 2**23 by 2**23 units is larger than what can be addressed.
    with pytest.raises(SettingError, match=r"layers=\(8388608,\).*does not fit into the memory"):
        classifier(layers=[2**23], device="cpu").fit(*waves)
    for threads in (100_000, 2**70):
        with pytest.raises(SettingError, match="threads.*4096"):
            classifier(threads=threads).fit(*waves)


def test_a_cell_that_wants_more_than_sequences_is_refused(waves):
    @cw.cell(state="h", inputs={"speed": 1})
    def driven(x, h, speed):
        h = cw.tanh(cw.affine("h", x, h) * speed)
        return h

    with pytest.raises(CellwrightError, match="speed"):
        classifier(cell=driven).fit(*waves)


@pytest.mark.parametrize("precision", ["32-true", "64-true", "bf16-mixed"])
def test_a_large_offset_destroys_no_signal(waves, precision):
    x, y = waves
    options = {"precision": precision, "dropout": 0.0}
    model = classifier(**options).fit([value + 1.7e9 for value in x], y)
    assert model.score([value + 1.7e9 for value in x], y) > 0.95
    plain = classifier(**options).fit(x, y)
    rows = zip(model.history_, plain.history_, strict=True)
    tolerance = 0.05 if precision == "bf16-mixed" else 1e-4
    assert all(a["train_loss"] == pytest.approx(b["train_loss"], abs=tolerance) for a, b in rows)


def test_numbers_beyond_single_precision_are_named_where_they_do_harm(waves):
    x, y = waves
    large = [value * 1e100 for value in x]
    assert classifier(epochs=1).fit(large, y).predict(large).shape == (48,)
    with pytest.raises(DataError, match=r"X\[0\] is .*e\+99 at step 0.*beyond single precision"):
        classifier(scaling="none").fit(large, y)
    with pytest.raises(DataError, match="beyond single precision"):
        classifier(epochs=1).fit(x, y).predict(large)
    with pytest.raises(DataError, match="feature 0 are too large to be scaled"):
        classifier().fit([value * 1e300 for value in x], y)


def test_texts_and_whole_numbers_are_the_same_labels(waves):
    x, y = waves
    numbers = np.where(np.array(y) == "up", 2, 10)
    model = classifier().fit(x, numbers)
    assert model.known_labels(["10", "2"]).tolist() == [10, 2]
    with pytest.raises(DataError, match=r"y\[1\] is '02', a label never seen"):
        model.known_labels(["10", "02"])
    texts = classifier(epochs=1).fit(x, numbers.astype(str))
    assert texts.known_labels([2, 10]).tolist() == ["2", "10"]


def test_messages_show_plain_values(waves):
    with pytest.raises(DataError, match=r"one class only \('a'\)"):
        classifier().fit(waves[0], ["a"] * 48)


@pytest.mark.parametrize(
    ("weights", "error", "said"),
    [
        ([1], ShapeError, "X has 48 samples but sample_weight has 1 rows"),
        (np.ones((48, 2)), ShapeError, r"sample_weight: expected \(48,\)"),
        ([np.nan] * 48, DataError, r"sample_weight\[0\] is NaN"),
        ([-1.0] * 48, DataError, "sample_weight: expected numbers from 0"),
        ([0.0] * 48, DataError, "some above 0"),
    ],
)
def test_weights_that_cannot_be_used_are_refused(fitted, waves, weights, error, said):
    with pytest.raises(error, match=said):
        fitted.score(*waves, sample_weight=weights)
    numbers = cw.SequenceRegressor(layers=[2], epochs=1).fit(waves[0], np.arange(48.0))
    with pytest.raises(error, match=said):
        numbers.score(waves[0], np.arange(48.0), sample_weight=weights)


def test_scores_want_an_answer_a_sequence(fitted, waves):
    with pytest.raises(ShapeError, match="X has 48 samples but y has 3 labels"):
        fitted.score(waves[0], waves[1][:3])


@settings(max_examples=60, derandomize=True)
@given(st.data())
def test_whatever_is_given_trains_or_is_refused_by_name(data):
    x = data.draw(sequences() | texts)
    labels = data.draw(st.sampled_from([[0, 1], ["a", "b"], [True, False], [2.0, 1.0, 0.0]]))
    y = data.draw(spoiled([labels[number % len(labels)] for number in range(len(x))]))
    x, other = data.draw(spoiled(x)), data.draw(spoiled(x))
    options = {"layers": [2], "embedding": 2, "epochs": 1, "backend": "reference"}
    model = cw.SequenceClassifier(
        **options, validation_fraction=data.draw(st.sampled_from([0, 0.4]))
    )
    try:
        model.fit(x, y)
    except CellwrightError as error:
        assert str(error)  # noqa: PT017 any of ours will do
        return
    assert np.isfinite(model.predict_proba(x)).all()
    assert 0 <= model.score(x, y) <= 1
    for ask in (model.predict_proba, lambda given: model.score(given, data.draw(spoiled(y)))):
        try:
            assert np.isfinite(ask(other)).all()
        except CellwrightError as error:
            assert str(error)  # noqa: PT017


def test_columns_of_tables_are_read_by_their_names(waves):
    x, y = waves
    names = [f"f{number}" for number in range(x[0].shape[1])]
    tables = [pd.DataFrame(value, columns=names) for value in x]
    model = classifier(epochs=1).fit(tables, y)
    assert model.feature_names_in_.tolist() == names
    turned = [table[names[::-1]] for table in tables]
    assert_array_equal(model.predict_proba(turned), model.predict_proba(x))
    with pytest.raises(DataError, match="missing: f0; unknown: other"):
        model.predict([table.rename(columns={"f0": "other"}) for table in tables])
    with pytest.raises(DataError, match="sparse matrix"):
        model.predict(sparse.csr_matrix(np.eye(3)))
