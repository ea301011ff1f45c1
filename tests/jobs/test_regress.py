"""`SequenceRegressor`: what it learns, its intervals, its files, and what it makes of data."""

import json

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import clone, is_regressor
from sklearn.exceptions import NotFittedError
from sklearn.metrics import r2_score
from spoiled_samples import sequences, spoiled

import cellwright as cw
from cellwright import jobs
from cellwright.data import Batch
from cellwright.errors import (
    CellwrightError,
    DataError,
    ModelFileError,
    SettingError,
    ShapeError,
)
from cellwright.jobs.regress.number_loss import NumberLoss
from cellwright.models import RegressorNetwork


def regressor(**options):
    defaults = {"cell": "gru", "layers": [6], "epochs": 6, "batch_size": 8}
    return cw.SequenceRegressor(**{**defaults, "learning_rate": 0.02, "dropout": 0.0, **options})


@pytest.fixture(scope="module")
def slopes():
    draw = np.random.default_rng(0)
    y = draw.uniform(100, 300, 90)
    x = [np.linspace(0, slope, draw.integers(4, 9))[:, None] for slope in y]
    return x, y


@pytest.fixture(scope="module")
def fitted(slopes):
    return regressor(epochs=12, validation_fraction=0.3).fit(*slopes)


def test_it_learns_in_the_units_of_the_target(fitted, slopes):
    x, y = slopes
    assert is_regressor(fitted)
    told = fitted.predict(x)
    assert told.shape == (90,)
    assert told.dtype == np.float64
    assert fitted.score(x, y) == pytest.approx(r2_score(y, told))
    assert fitted.score(x, y) > 0.9
    assert fitted.history_[-1]["train_mae"] < 20 < fitted.history_[0]["train_mae"]


def test_several_targets_are_told_at_once(slopes):
    x, y = slopes
    both = np.stack([y, -1e6 * y + 7], axis=1)
    model = regressor(epochs=12).fit(x, both)
    assert model.predict(x).shape == (90, 2)
    assert model.score(x, both) > 0.9
    lower, upper = model.predict_interval(x, 0.5)
    assert lower.shape == upper.shape == (90, 2)
    assert (lower < upper).all()
    with pytest.raises(DataError, match="1 targets, and 2 were learned"):
        model.score(x, y)


def test_a_target_without_scaling_is_learned_as_it_is(slopes):
    model = regressor(epochs=1, target_scaling="none").fit(*slopes)
    assert model.network_.target_shift.tolist() == [0]
    assert model.network_.target_spread.tolist() == [1]


@pytest.mark.parametrize(
    ("loss", "wanted"),
    [
        ("squared", [4.0, 0.25]),
        ("absolute", [2.0, 0.5]),
        ("huber", [1.5, 0.125]),
        ("quantile", [1.8, 0.05]),  # the 0.9 quantile lies 2 too low and 0.5 too high
    ],
)
def test_losses_are_their_formulas(loss, wanted):
    network = RegressorNetwork(1, 1, cell="lstm", layers=[2])
    network.target_spread.fill_(10.0)
    told, truth = torch.tensor([1.0, 2.0]), torch.tensor([3.0, 1.5])
    network.forward = lambda x, lengths: told.view(2, 1, 1)
    batch = Batch(torch.zeros(2, 1, 1), torch.ones(2), np.arange(2), truth.unsqueeze(1))
    mean, sums = NumberLoss(loss, (0.9,))(network, batch)
    assert float(mean) == pytest.approx(np.mean(wanted))
    assert float(sums["loss"]) == pytest.approx(np.sum(wanted))
    assert float(sums["mae"]) == pytest.approx(25.0)


def test_an_interval_is_a_quantile_of_the_misses_on_the_validation_part(fitted, slopes):
    x, _ = slopes
    lower, upper = fitted.predict_interval(x, 0.75)
    width = (upper - lower) / 2
    assert_allclose(width, width[0])
    missed = np.array(fitted.facts_.misses[0])[:, 0]
    assert len(missed) == fitted.facts_.missed == 27
    assert_allclose(width[0], missed[20])  # the 21st of 27: 28 times 0.75
    assert_allclose((lower + upper) / 2, fitted.predict(x))


def test_quantiles_ascend_and_their_interval_holds_the_truth(slopes):
    draw, (x, y) = np.random.default_rng(1), slopes
    noisy = y + draw.normal(0, 20, len(y))
    model = regressor(loss="quantile", quantiles=(0.1, 0.5, 0.9), epochs=10).fit(x, noisy)
    told = model.predict_quantiles(x)
    assert told.shape == (90, 3)
    assert (np.diff(told, axis=1) >= 0).all()
    assert_array_equal(model.predict(x), told[:, 1])
    lower, upper = model.predict_interval(x, 0.8)
    assert 0.6 < np.mean((lower <= noisy) & (noisy <= upper)) <= 1
    assert np.ptp(upper - lower) > 0  # the width follows the sequence


def test_quantiles_that_cross_are_sorted_and_intervals_never_turn_inside_out(slopes):
    x, y = slopes
    model = regressor(loss="quantile", quantiles=(0.1, 0.5, 0.9), epochs=1).fit(x, y)
    with torch.no_grad():
        model.network_.readout.weight.zero_()
        model.network_.readout.bias.copy_(torch.tensor([1.0, -1.0, 0.0]))
    told = model.predict_quantiles(x)
    assert (np.diff(told, axis=1) > 0).all()
    # All were far inside their interval, so it shrinks; more than it is wide it cannot.
    far = model.facts_.model_copy(update={"misses": [[[-1e6]] * 9], "missed": 9})
    model.knows(far)
    lower, upper = model.predict_interval(x, 0.8)
    assert_array_equal(lower, upper)
    assert_allclose(lower, (told[:, 0] + told[:, 2]) / 2)


def test_without_a_validation_part_only_learned_quantiles_make_an_interval(slopes):
    x, y = slopes
    plain = regressor(epochs=1, validation_fraction=0).fit(x, y)
    with pytest.raises(SettingError, match="measured on the validation part"):
        plain.predict_interval(x)
    options = {"loss": "quantile", "quantiles": (0.1, 0.9), "validation_fraction": 0}
    model = regressor(epochs=1, **options).fit(x, y)
    lower, upper = model.predict_interval(x, 0.8)
    assert_array_equal(np.stack([lower, upper], 1), model.predict_quantiles(x))
    with pytest.raises(SettingError, match="validation"):
        model.predict_interval(x, 0.9)


def test_an_interval_surer_than_the_samples_is_refused(fitted, slopes):
    with pytest.raises(SettingError, match="at least 99 samples"):
        fitted.predict_interval(slopes[0], 0.99)


def test_groups_are_kept_together(slopes):
    x, y = slopes
    groups = np.arange(90) // 30
    model = regressor(epochs=1, validation_fraction=0.34).fit(x, y, groups=groups)
    assert model.facts_.missed in (30, 60)
    with pytest.raises(ShapeError, match="groups"):
        regressor().fit(x, y, groups=groups[:5])


def test_a_saved_model_tells_the_same(fitted, slopes, tmp_path):
    x, _ = slopes
    fitted.save(tmp_path / "m.cw")
    again = cw.load(tmp_path / "m.cw")
    assert type(again) is cw.SequenceRegressor
    assert_array_equal(again.predict(x), fitted.predict(x))
    for end, same in zip(again.predict_interval(x), fitted.predict_interval(x), strict=True):
        assert_array_equal(end, same)


@pytest.mark.parametrize(
    "change",
    [
        {"targets": 2},
        {"targets": 2**20},
        {"features": 2},
        {"misses": [[[2.0], [1.0]]]},
        {"misses": [[[float("nan")]]]},
        {"misses": [[[1.0, 2.0]]]},
        {"misses": []},
        {"missed": -1},
        {"feature_names": ["a", "a"]},
        {"odd": 1},
    ],
)
def test_a_file_whose_facts_contradict_is_refused(fitted, tmp_path, change):
    from cellwright.jobs import model_file
    from cellwright.jobs.training.tensor_file import write_tensors

    fitted.save(tmp_path / "m.cw")
    description, tensors = model_file.read(tmp_path / "m.cw")
    document = description.model_dump()
    document["facts"] |= change
    write_tensors(tmp_path / "bad.cw", tensors, json.loads(json.dumps(document)))
    with pytest.raises(ModelFileError):
        cw.load(tmp_path / "bad.cw")


@pytest.mark.parametrize(
    ("x", "y", "options", "error", "words"),
    [
        ([[1.0, 2], [2.0, 3]] * 9, [1.0] * 18, {}, DataError, "nothing to learn"),
        ([[1.0, 2], [2.0, 3]] * 9, [0.0, 1e308] * 9, {}, DataError, "too large to be scaled"),
        ([[1.0, 2], [2.0, 3]] * 9, [0.0, 1e60] * 9, {"target_scaling": "none"}, DataError,
         "beyond single precision"),
        ([[1.0, 2], [2.0, 3]] * 9, [0.0, 1.0], {}, ShapeError, "18 samples but y has 2"),
        ([[1.0, 2], [2.0, np.nan, 1]] * 9, [0.0, 1.0] * 9, {}, CellwrightError, "NaN"),
        ([[1.0, 2], [2.0, 3]] * 9, [0.0, 1.0] * 9,
         {"loss": "quantile", "quantiles": (0.9, 0.1)}, SettingError, "must ascend"),
        ([[1.0, 2], [2.0, 3]] * 9, [0.0, 1.0] * 9, {"loss": "cubic"}, SettingError, "loss"),
        ([[1.0, 2], [2.0, 3]] * 9, [0.0, 1.0] * 9,
         {"validation_fraction": 0, "patience": 2}, SettingError, "patience"),
    ],
)  # fmt: skip
def test_bad_input_is_named_before_the_training(x, y, options, error, words):
    started = []
    with pytest.raises(error, match=words):
        regressor(**options).fit(x, y, on_start=lambda: started.append(1))
    assert not started


def test_scikit_learn_can_clone_it_and_is_told_when_it_is_not_fitted(slopes):
    model = clone(regressor(loss="huber"))
    assert model.get_params()["loss"] == "huber"
    for method in (model.predict, model.predict_interval, lambda x: model.score(x, x)):
        with pytest.raises(NotFittedError):
            method(slopes[0])


def test_a_training_that_is_cut_off_goes_on_to_the_same_weights(slopes, tmp_path):
    whole = regressor(epochs=4, dropout=0.3).fit(*slopes)

    class Cut(Exception):
        pass

    def cut(history):
        if len(history) == 2:
            raise Cut

    file = tmp_path / "checkpoint.safetensors"
    model = regressor(epochs=4, dropout=0.3)
    with pytest.raises(Cut):
        model.fit(*slopes, checkpoint=file, on_epoch=cut)
    model.fit(*slopes, checkpoint=file, resume=True)
    for name, weight in whole.network_.state_dict().items():
        assert torch.equal(weight, model.network_.state_dict()[name]), name


def test_a_run_from_data_to_result(tmp_path):
    rows = ["id,step,a,speed,force"]
    for n in range(40):
        rows += [f"{n},{t},{n * t},{n},{-2 * n}" for t in range(3)]
    (tmp_path / "some.csv").write_text("\n".join(rows))
    config = jobs.configure(
        str(tmp_path / "some.csv"), job="regress", targets=["speed", "force"], epochs=2, layers=4
    )
    result = jobs.run(config, jobs.RunFolder(tmp_path / "run"))
    assert list(result["test"])[:3] == ["r2", "rmse", "mae"]
    assert (tmp_path / "run" / "predicted.png").stat().st_size > 5000
    model = cw.load(tmp_path / "run")
    given = jobs.samples(model, tmp_path / "run", None, None)
    scores, report = jobs.scores(model, given)
    assert scores["rmse"] == pytest.approx(result["test"]["rmse"])
    assert "speed" in report
    table = jobs.predictions(model, given)
    assert list(table) == ["id", "prediction_speed", "prediction_force"]
    assert len(table) == 8


@settings(max_examples=60, derandomize=True)
@given(st.data())
def test_whatever_is_given_trains_or_is_refused_by_name(data):
    x, draw = data.draw(sequences()), np.random.default_rng(0)
    wide = data.draw(st.booleans())
    y = data.draw(spoiled(draw.normal(size=(len(x), 2) if wide else len(x)).tolist()))
    x, other = data.draw(spoiled(x)), data.draw(spoiled(x))
    options = data.draw(
        st.sampled_from(
            [
                {"validation_fraction": 0},
                {"validation_fraction": 0.4, "loss": "quantile", "quantiles": (0.2, 0.8)},
                {"validation_fraction": 0, "target_scaling": "none", "scaling": "none"},
                {"validation_fraction": 0.4, "precision": "64-true"},
            ]
        )
    )
    model = regressor(layers=[2], epochs=1, backend="reference", **options)
    try:
        model.fit(x, y)
    except CellwrightError as error:
        assert str(error)  # noqa: PT017 any of ours will do
        return
    assert np.isfinite(model.predict(x)).all()
    asked = (
        model.predict,
        lambda given: model.score(given, data.draw(spoiled(y))),
        lambda given: np.subtract(*model.predict_interval(given, 0.5)) <= 0,
    )
    for ask in asked:
        try:
            assert np.isfinite(ask(other)).all()
        except CellwrightError as error:
            assert str(error)  # noqa: PT017


def test_scores_want_a_number_a_sequence(fitted, slopes):
    with pytest.raises(ShapeError, match="X has 90 samples but y has 3 rows"):
        fitted.score(slopes[0], slopes[1][:3])
