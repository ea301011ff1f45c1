"""Making sequences: shapes, classes, seeds, files, and what is refused."""

import json

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from spoiled_samples import sequences, spoiled

import cellwright as cw
from cellwright.data.sines import two_tone_sines
from cellwright.errors import (
    CellwrightError,
    DataError,
    ModelFileError,
    SettingError,
    ShapeError,
    TrainingError,
)
from cellwright.jobs import RunFolder, configure, model_file, predictions, run, scores
from cellwright.jobs.gan import realism
from cellwright.jobs.gan.objective import sliced_distance
from cellwright.jobs.gan.reading import read_labelled

SIZES = {"noise": 3, "condition": 2}
SMALL = {"layers": [6], "epochs": 2, "batch_size": 32, **SIZES}


@pytest.fixture(scope="module")
def levels():
    """Ragged sequences of two classes: high ones are short, low ones are long."""
    rng = np.random.default_rng(0)
    x, y = [], []
    for number in range(160):
        high = number % 2
        steps = 3 + number // 2 % 3 if high else 6 + number // 2 % 2
        x.append((4.0 if high else -4.0) + rng.normal(size=(steps, 2)))
        y.append("high" if high else "low")
    return x, y


@pytest.fixture(scope="module")
def trained(levels):
    options = {**SMALL, "epochs": 30, "learning_rate": 1e-2, "condition": 8}
    return cw.SequenceGAN(**options).fit(*levels)


@pytest.fixture(scope="module")
def sines():
    return two_tone_sines(120, steps=9)


@pytest.fixture
def quick_judges(monkeypatch):
    monkeypatch.setattr(realism, "_LEARNED", 2000)


def test_what_is_made_is_like_what_was_shown(trained, levels):
    for label, mean in (("high", 4), ("low", -4)):
        made = trained.sample(200, label)
        assert np.nanmean(made) == pytest.approx(mean, abs=1)
        assert np.nanstd(made) == pytest.approx(1, abs=0.7)
    assert trained.history_[-1]["validation_loss"] < 0.5 * trained.history_[0]["validation_loss"]


def test_lengths_are_those_of_the_class(trained):
    made = trained.sample(100, ["high", "low"] * 50)
    assert made.shape == (100, 7, 2)
    lengths = (~np.isnan(made)).all(2).sum(1)
    assert (np.isnan(made).all(2).sum(1) + lengths == 7).all()
    assert set(lengths[::2]) == {3, 4, 5}
    assert set(lengths[1::2]) == {6, 7}


def test_without_classes_they_are_as_frequent_as_in_training(trained):
    made = trained.sample(400)
    assert (np.nanmean(made, (1, 2)) > 0).mean() == pytest.approx(0.5, abs=0.1)


def test_the_same_seed_makes_the_same(trained):
    first = trained.sample(5, random_state=3)
    assert np.array_equal(first, trained.sample(5, random_state=3), equal_nan=True)
    assert not np.array_equal(first[0, 0], trained.sample(5, random_state=4)[0, 0])
    default = trained.sample(5)
    assert np.array_equal(default, trained.sample(5, random_state=0), equal_nan=True)


def test_many_are_made_in_batches(trained, monkeypatch):
    monkeypatch.setattr(type(trained), "prediction_batch", 7)
    made = trained.sample(20, "low")
    assert made.shape == (20, 7, 2)
    assert len(np.unique(made[:, 0, 0])) == 20


def test_training_twice_gives_the_same_weights_and_leaves_random_numbers_alone(sines):
    torch.manual_seed(5)
    wanted = torch.rand(1)
    torch.manual_seed(5)
    first = cw.SequenceGAN(**SMALL).fit(sines)
    assert torch.equal(torch.rand(1), wanted)
    second = clone(first).fit(sines)
    for name, weight in first.network_.state_dict().items():
        assert torch.equal(weight, second.network_.state_dict()[name]), name
    assert (first.sample(3) == second.sample(3)).all()


@pytest.mark.parametrize(
    "options",
    [
        {"cell": "peephole_lstm", "layers": [5, 3], "dropout": 0.2, "connections": "skip"},
        {"cell": "elman", "bidirectional": False, "loss": "hinge", "spectral_norm": True},
        {"loss": "logistic", "penalty": 0, "discriminator_layers": 3, "projection": 2},
        {"precision": "64-true", "optimizer": "rmsprop", "scaling": "none", "patience": 1},
    ],
)
def test_any_cell_and_stack_trains_and_is_stored(sines, options, tmp_path):
    model = cw.SequenceGAN(**{**SMALL, **options}).fit(sines)
    made = model.sample(4)
    assert made.shape == (4, 9, 1)
    assert np.isfinite(made).all()
    model.save(tmp_path / "m.cw")
    assert (cw.load(tmp_path / "m.cw").sample(4) == made).all()


def test_a_stored_model_knows_classes_lengths_and_names(trained, tmp_path, levels):
    trained.save(tmp_path / "m.cw")
    loaded = cw.load(tmp_path / "m.cw")
    assert loaded.classes_.tolist() == ["high", "low"]
    made = trained.sample(6, "low")
    assert np.array_equal(loaded.sample(6, "low"), made, equal_nan=True)
    like = loaded.sample_like(*levels)
    assert like.lengths.tolist() == [len(value) for value in levels[0]]


@pytest.mark.parametrize(
    "change",
    [
        {"lengths": []},
        {"lengths": [[0, 5, 1]]},
        {"lengths": [[0, 5, 1], [1, 5, 1], [2, 5, 1]]},
        {"lengths": [[0, 0, 1], [1, 5, 1]]},
        {"lengths": [[0, 5, 0], [1, 5, 1]]},
        {"lengths": [[0, 5]]},
        {"lengths": [[0, 2**40, 1], [1, 5, 1]]},
        {"feature_names": ["a", "a"]},
        {"features": 2**23},
        {"labels": None},
        {"odd": 1},
    ],
)
def test_a_damaged_file_is_refused(trained, tmp_path, change):
    trained.save(tmp_path / "m.cw")
    description, tensors = model_file.read(tmp_path / "m.cw")
    facts = {**description.facts, **change}
    broken = description.model_copy(update={"facts": facts})
    from cellwright.jobs.training.tensor_file import write_tensors

    write_tensors(tmp_path / "m.cw", tensors, json.loads(broken.model_dump_json()))
    with pytest.raises(ModelFileError):
        cw.load(tmp_path / "m.cw")


@pytest.mark.parametrize("option", [{"noise": 10**9}, {"discriminator_layers": [2] * 10**4}])
def test_a_file_that_asks_for_a_giant_is_refused(trained, tmp_path, option):
    trained.save(tmp_path / "m.cw")
    description, tensors = model_file.read(tmp_path / "m.cw")
    broken = description.model_copy(update={"options": {**description.options, **option}})
    from cellwright.jobs.training.tensor_file import write_tensors

    write_tensors(tmp_path / "m.cw", tensors, json.loads(broken.model_dump_json()))
    with pytest.raises(ModelFileError, match="cannot be made"):
        cw.load(tmp_path / "m.cw")


@pytest.mark.parametrize(
    ("options", "error", "words"),
    [
        ({"loss": "wgan"}, SettingError, "loss='wgan'"),
        ({"noise": 0}, SettingError, "noise=0"),
        ({"penalty": -1}, SettingError, "penalty=-1"),
        ({"discriminator_layers": [4, 0]}, SettingError, "discriminator_layers"),
        ({"averaging": 1}, SettingError, "averaging=1"),
        ({"validation_fraction": 0, "patience": 3}, SettingError, "patience"),
        ({"learning_rate": 1e30, "optimizer": "sgd"}, TrainingError, "epoch 1"),
    ],
)
def test_options_that_cannot_be_used_are_named(sines, options, error, words):
    with pytest.raises(error, match=words):
        cw.SequenceGAN(**{**SMALL, **options}).fit(sines)


@pytest.mark.parametrize(
    ("x", "y", "error", "words"),
    [
        ([], None, DataError, "X is empty"),
        ([[1.0, np.nan, 2.0]] * 9, None, DataError, r"X\[0\] is NaN at step 1"),
        ([[1.0, np.inf]] * 9, None, DataError, r"infinite at step 1"),
        ([[1.0], [[1.0, 2.0]]], None, ShapeError, r"X\[1\]"),
        ([[1.0, 2.0]] * 9, [0, 1] * 4, ShapeError, "9 samples but y has 8"),
        ([[1.0, 2.0]] * 4, [7] * 4, DataError, "one class only"),
        ([[1.0, 2.0]] * 4, [0.5, 1, 2, 3], DataError, "not labels"),
        ([[1.0, 2.0]], None, DataError, "cannot be divided"),
        ("sines", None, DataError, "expected a list of arrays"),
        ([[1e300, -1e300]] * 9, None, DataError, "too large"),
    ],
)
def test_data_that_cannot_be_used_are_named_before_training(x, y, error, words):
    def started():
        raise AssertionError("the training has begun")

    with pytest.raises(error, match=words):
        cw.SequenceGAN(**SMALL).fit(x, y, on_start=started)


def test_samples_that_cannot_be_made_are_refused(trained, sines):
    plain = cw.SequenceGAN(**SMALL).fit(sines)
    with pytest.raises(DataError, match="no classes"):
        plain.sample(2, "high")
    with pytest.raises(DataError, match=r"y\[1\] is 'odd'.*known: high, low"):
        trained.sample(2, ["high", "odd"])
    with pytest.raises(ShapeError, match="expected 3 classes, got 2"):
        trained.sample(3, ["high", "low"])
    for n in (0, -1, 1.5, True):
        with pytest.raises(SettingError, match="n="):
            trained.sample(n)
    for seed in (-1, 0.5, "a", True, 2**32, 2**70):
        with pytest.raises(SettingError, match="random_state="):
            trained.sample(1, random_state=seed)
    with pytest.raises(ShapeError, match="features=2"):
        trained.sample_like(sines)
    with pytest.raises(ShapeError, match=r"y: expected \(sample,\), got rows"):
        trained.sample(2, ["high", []])
    with pytest.raises(NotFittedError):
        cw.SequenceGAN().sample(1)


numbers = st.floats(width=32) | st.integers(-5, 5)
steps = st.lists(st.lists(numbers, min_size=0, max_size=2), max_size=3) | st.lists(numbers)


@settings(max_examples=60, derandomize=True)
@given(st.data())
def test_whatever_is_given_trains_or_is_refused_by_name(data):
    x = data.draw(sequences() | st.lists(steps, max_size=4))
    if data.draw(st.booleans()) and _even(x):
        scale = data.draw(st.sampled_from([0.0, 1.0, 1e30, 1e300]))  # constant, or huge
        x = [(np.array(value, float) * scale).tolist() for value in x]
    options = data.draw(
        st.sampled_from(
            [
                {"validation_fraction": 0},
                {"validation_fraction": 0.4, "penalty": 1.0},
                {"validation_fraction": 0, "scaling": "none"},
                {"validation_fraction": 0.4, "precision": "64-true"},
            ]
        )
    )
    y = data.draw(st.sampled_from([None, [n % 2 for n in range(len(x))], ["a", "b"] * 4]))
    y = None if y is None else data.draw(spoiled(y[: len(x)]))
    x, other = data.draw(spoiled(x)), data.draw(spoiled(x))
    wanted = None if y is None else data.draw(spoiled(y))
    model = cw.SequenceGAN(layers=[2], epochs=1, backend="reference", **SIZES, **options)
    try:
        model.fit(x, y)
    except CellwrightError as error:
        assert str(error)  # noqa: PT017 any of ours will do
        return
    assert np.isfinite(model.sample(2)[:, 0]).all()
    asked = (
        lambda: model.sample(max(1, len(x)), wanted)[:, 0],
        lambda: model.sample(2, data.draw(st.sampled_from([*(y or [0]), None, {}, []])))[:, 0],
        lambda: np.concatenate(list(model.sample_like(other, wanted))),
        lambda: model.score(other * 3, None if wanted is None else wanted * 3),
        lambda: model.train_on_synthetic(x, other, y, seeds=[0]).synthetic,
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(realism, "_LEARNED", 20)
        for ask in asked:
            try:
                assert np.isfinite(ask()).all()
            except CellwrightError as error:
                assert str(error)  # noqa: PT017


def _even(x):
    return all(len({np.shape(step) for step in value}) <= 1 for value in x)


def test_scores_tell_good_copies_from_bad_ones(quick_judges):
    first, second = (two_tone_sines(200, steps=8, seed=seed) for seed in (1, 2))
    rng = np.random.default_rng(0)
    noise = rng.normal(size=(200, 8, 1))
    assert realism.discriminative_score(first, second, seeds=[0]) < 0.15
    assert realism.discriminative_score(first, noise, seeds=[0]) > 0.3
    good = realism.train_on_synthetic(first, second, first, seeds=[0, 1])
    bad = realism.train_on_synthetic(first, noise, second, seeds=[0])
    assert good.ratio == pytest.approx(1, abs=0.15)
    assert bad.ratio > 1.3
    assert len(good.by_seed) == 2
    assert good.synthetic == pytest.approx(np.mean([pair[0] for pair in good.by_seed]))


def test_errors_are_in_spreads_of_the_real_data(quick_judges):
    real, test = (two_tone_sines(100, steps=8, seed=seed) for seed in (1, 2))
    plain = realism.train_on_synthetic(real, real, test, seeds=[0])
    assert plain.ratio == 1
    larger = [100 * value.astype(float) + 1000 for value in real]
    moved = realism.train_on_synthetic(larger, larger, [100 * v + 1000.0 for v in test], seeds=[0])
    assert moved.real == pytest.approx(plain.real, rel=0.02)


def test_what_changes_by_rounding_alone_is_not_judged(quick_judges):
    x = two_tone_sines(90, steps=9).values.astype(np.float64)
    still = np.full_like(x, 0.3)
    shaken = np.where(np.arange(9)[:, None] % 2, still, 0.1 + 0.2)
    made = np.concatenate([x, still + 1e-3], 2)[:60]
    once, twice = (
        realism.train_on_synthetic(real[:60], made, real[60:], seeds=[0])
        for real in (np.concatenate([x, each], 2) for each in (still, shaken))
    )
    assert twice.ratio == pytest.approx(once.ratio, rel=1e-3)


def test_sequences_that_cannot_be_judged_are_refused():
    with pytest.raises(DataError, match="no sequence has a second step"):
        realism.prediction_error([[1.0]], [[1.0, 2.0]])
    with pytest.raises(DataError, match="too few to be told apart"):
        realism.discriminative_score([[1.0, 2.0]] * 9, [[1.0, 2.0]] * 20)
    with pytest.raises(ShapeError, match="synthetic"):
        realism.discriminative_score([[1.0, 2.0]] * 10, [[[1.0, 2.0]]] * 10)
    with pytest.raises(ShapeError, match="3 sequences but real has 2"):
        realism.train_on_synthetic([[1.0, 2]] * 2, [[1.0, 2]] * 3, [[1.0, 2]])


def test_the_distance_grows_with_what_differs():
    rng = np.random.default_rng(0)
    points = rng.normal(size=(400, 4))
    distances = [sliced_distance(points, points + shift) for shift in (0, 0.5, 1)]
    assert distances[0] == 0
    assert distances[2] == pytest.approx(2 * distances[1], rel=1e-6)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"y_test": [0, 1, 7] * 4}, r"sample 2 of the test part is 7, .* known: 0, 1"),
        ({"y_train": None}, "the test part has classes, and the training part has none"),
        ({"X_train": np.zeros((30, 1, 2))}, "no sequence of the training part has a second step"),
        ({"X_test": np.zeros((12, 1, 2))}, "no sequence of the test part has a second step"),
        ({"X_test": np.zeros((12, 4, 3))}, "the test part has 3 features at each step, the tr"),
    ],
)
def test_a_test_part_that_cannot_be_used_is_refused_before_the_training(tmp_path, change, said):
    draw = np.random.default_rng(0)
    arrays = {
        "X_train": draw.normal(size=(30, 4, 2)),
        "X_test": draw.normal(size=(12, 4, 2)),
        "y_train": np.arange(30) % 2,
        "y_test": np.arange(12) % 2,
    }
    kept = {name: value for name, value in (arrays | change).items() if value is not None}
    np.savez(tmp_path / "d.npz", **kept)
    with pytest.raises(DataError, match=said):
        configure(str(tmp_path / "d.npz"), job="gan").read_data()
    np.savez(tmp_path / "good.npz", **arrays)
    configure(str(tmp_path / "good.npz"), job="gan").read_data()


@pytest.mark.parametrize(
    ("source", "option"),
    [
        ("sines", {"stride": 2}),
        ("sines", {"test_fraction": 0.5}),
        ("whole.npz", {"window": 9}),
        ("whole.npz", {"columns": "x"}),
        ("divided.npz", {"test_fraction": 0.5}),
        ("long.csv", {"stride": 2}),
    ],
)
def test_options_that_mean_nothing_to_the_data_are_refused(source, option, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    np.savez("whole.npz", X=np.zeros((9, 4, 1)))
    np.savez("divided.npz", X_train=np.zeros((9, 4, 1)), X_test=np.zeros((9, 4, 1)))
    rows = "".join(f"{number},{step},{step}\n" for number in range(9) for step in range(4))
    (tmp_path / "long.csv").write_text(f"id,step,x\n{rows}")
    with pytest.raises(DataError, match=f"{next(iter(option))}=.* means nothing to these data"):
        configure(source, job="gan", **option).read_data()
    # What is left from the data that were learned from does not hinder a trained model.
    assert len(read_labelled(source, None, configure(job="gan", **option).reading).ids) >= 9


def test_a_run_folder_tells_how_real_it_is_and_can_be_used(tmp_path, quick_judges):
    series = np.cumsum(np.random.default_rng(0).normal(size=200)) % 7
    rows = "".join(f"{day},{value:.3f}\n" for day, value in enumerate(series))
    (tmp_path / "s.csv").write_text(f"day,level\n{rows}")
    config = configure(
        str(tmp_path / "s.csv"), job="gan", window=8, columns=["level"], layers=[4], epochs=1
    )
    folder = RunFolder(tmp_path / "run")
    result = run(config, folder)
    assert result["test"].keys() == {
        *("synthetic_to_real", "error_from_synthetic", "error_from_real"),
        *("discriminative_score", "samples"),
    }
    assert (folder.path / "made_and_real.png").stat().st_size > 5000
    model = cw.load(folder.path)
    given_data = config.read_data().test
    table = predictions(model, given_data)
    assert table.columns.tolist() == ["id", "step", "level"]
    assert len(table) == 33 * 8
    found, report = scores(model, given_data)
    assert "discriminative score" in report
    assert 0 <= found["discriminative_score"] <= 0.5
    with pytest.raises(CellwrightError, match="no probabilities"):
        predictions(model, given_data, probabilities=True)
