"""Predicting and scoring from a run folder."""

from pathlib import Path

import numpy as np
import pytest
from idx_files import write_mnist
from numpy.testing import assert_allclose

from cellwright.errors import DataError, RunError, TrainingError
from cellwright.jobs import (
    Reporter,
    RunFolder,
    configure,
    load,
    predictions,
    run,
    samples,
    scores,
)
from cellwright.jobs.asked import Asked
from cellwright.jobs.registry import job_of


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    path = tmp_path_factory.mktemp("run")
    rng = np.random.default_rng(0)
    np.savez(path / "data.npz", X=rng.normal(size=(40, 4, 2)), y=["a", "b"] * 20)
    config = configure(str(path / "data.npz"), layers=[3], epochs=1)
    return path / "run", run(config, RunFolder(path / "run"))


def test_a_run_is_scored_on_its_own_test_part(trained):
    folder, result = trained
    test, report = scores(load(folder), samples(load(folder), folder, None, None))
    assert test == result["test"]
    assert test["samples"] == 8
    assert "accuracy" in report


def test_predictions_are_a_table(trained):
    folder, _ = trained
    model, given = load(folder), samples(load(folder), folder, None, None)
    table = predictions(model, given)
    assert list(table) == ["id", "prediction"]
    assert table["id"].tolist() == given.ids
    wide = predictions(model, given, probabilities=True)
    assert list(wide)[2:] == ["probability_a", "probability_b"]
    assert_allclose(wide["probability_a"] + wide["probability_b"], 1)
    assert table["prediction"].tolist() == model.predict(given.x).tolist()


def test_a_run_whose_test_part_lies_beside_its_data_is_used_from_anywhere(tmp_path, monkeypatch):
    for name in ("learn", "test"):
        (tmp_path / f"{name}.txt").write_text("0 a dull film\n1 a fine film\n" * 10)
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path)
    config = configure("learn.txt", test="test.txt", layers=[2], epochs=1, backend="reference")
    result = run(config, RunFolder(tmp_path / "run"))
    monkeypatch.chdir(tmp_path / "elsewhere")
    folder = tmp_path / "run"
    found, _ = scores(load(folder), samples(load(folder), folder, None, None))
    assert found == result["test"]


def test_a_run_knows_where_it_has_read_the_data_of_a_name(tmp_path):
    write_mnist(tmp_path)
    config = configure("mnist", str(tmp_path), layers=[2], epochs=1, validation_fraction=0)
    result = run(config, RunFolder(tmp_path / "run"))
    model = load(tmp_path / "run")
    found, _ = scores(model, samples(model, tmp_path / "run", "mnist", None))
    assert found == result["test"]
    # A folder that is named is the one that counts, and another name has its own.
    with pytest.raises(DataError, match="elsewhere"):
        samples(model, tmp_path / "run", "mnist", tmp_path / "elsewhere")
    assert len(samples(model, tmp_path / "run", "digits", None).x) == 360


def test_other_data_are_read_by_name_or_path(trained):
    folder, _ = trained
    assert len(samples(load(folder), folder, "digits", None).x) == 360
    assert len(samples(load(folder), folder, str(folder.parent / "data.npz"), None).x) == 40
    with pytest.raises(DataError, match="no data set 'digit'"):
        samples(load(folder), folder, "digit", None)
    with pytest.raises(DataError, match="data folder goes with a named"):
        samples(load(folder), folder, None, Path("elsewhere"))
    with pytest.raises(DataError, match="data folder goes with a named"):
        samples(load(folder), folder, str(folder.parent / "data.npz"), Path("elsewhere"))


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("regress", "name the folder with --data"),
        ("transcribe", "name the folder with --data"),
        ("language", "text comes from one file"),
        ("forecast", "data folder goes with a named data set, not with 'a.csv'"),
        ("gan", "data folder goes with data that lie in one, not with 'a.csv'"),
    ],
)
def test_a_folder_that_means_nothing_to_the_data_is_refused(name, message):
    job, asked = job_of(name), Asked("a.csv", Path("elsewhere"), {}, {})
    for read in (job.read, job.read_samples):
        with pytest.raises(DataError, match=message):
            read(asked)


def test_a_model_file_has_no_data_of_its_own(trained):
    folder, _ = trained
    with pytest.raises(RunError, match="give --data"):
        samples(load(folder), folder / "model.cw", None, None)


def test_a_score_needs_labels_that_are_known(trained, tmp_path):
    folder, _ = trained
    np.savez(tmp_path / "bare.npz", X=np.zeros((2, 4, 2)))
    with pytest.raises(DataError, match="no labels to score"):
        scores(load(folder), samples(load(folder), folder, str(tmp_path / "bare.npz"), None))
    np.savez(tmp_path / "odd.npz", X=np.zeros((2, 4, 2)), y=["a", "z"])
    with pytest.raises(DataError, match="the label of sample 1 is 'z'.*never seen"):
        scores(load(folder), samples(load(folder), folder, str(tmp_path / "odd.npz"), None))


def test_a_label_that_is_not_known_is_said_with_the_name_of_its_sample(trained, tmp_path):
    folder, _ = trained
    rows = [f"{name},{step},1,2,{name[0]}" for name in ("a-1", "b-1", "z-1") for step in (0, 1)]
    (tmp_path / "new.csv").write_text("\n".join(["id,step,p,q,label", *rows]))
    model = load(folder)
    given = samples(model, folder, str(tmp_path / "new.csv"), None)
    with pytest.raises(DataError, match="the label of sample 'z-1' is 'z'.*never seen"):
        scores(model, given)


def test_changed_data_are_noticed(tmp_path):
    x = np.random.default_rng(0).normal(size=(40, 4, 2))
    np.savez(tmp_path / "data.npz", X=x, y=["a", "b"] * 20)
    config = configure(str(tmp_path / "data.npz"), layers=[3], epochs=1)
    run(config, RunFolder(tmp_path / "run"))
    samples(load(tmp_path / "run"), tmp_path / "run", None, None)
    np.savez(tmp_path / "data.npz", X=x, y=["b", "a"] * 20)
    with pytest.raises(DataError, match=r"data\.npz has changed since"):
        samples(load(tmp_path / "run"), tmp_path / "run", None, None)


def test_a_class_without_a_test_sample_is_noted(tmp_path):
    x = np.random.default_rng(0).normal(size=(42, 4, 2))
    np.savez(tmp_path / "data.npz", X=x, y=["a", "b"] * 20 + ["rare"] * 2)
    config = configure(str(tmp_path / "data.npz"), layers=[3], epochs=1, test_fraction=0.1)
    notes = []
    reporter = Reporter()
    reporter.note = notes.append
    run(config, RunFolder(tmp_path / "run"), reporter=reporter)
    assert notes == ["the test part has no sample of the class rare; it says nothing of it"]


@pytest.mark.parametrize("job", ["classify", "regress"])
def test_a_test_part_of_other_features_is_found_before_the_training(tmp_path, job):
    parts = {"train": np.zeros((8, 4, 2)), "test": np.zeros((4, 4, 3))}
    arrays = {f"y_{part}": np.arange(len(x)) % 2 for part, x in parts.items()}
    np.savez(tmp_path / "data.npz", **arrays, **{f"X_{part}": x for part, x in parts.items()})
    with pytest.raises(DataError, match="test part has 3 features at each step, the training part"):
        configure(str(tmp_path / "data.npz"), job=job).read_data()


@pytest.mark.parametrize("job", ["classify", "transcribe"])
def test_a_test_recording_that_is_too_short_is_found_before_the_training(tmp_path, job):
    soundfile = pytest.importorskip("soundfile")
    rng = np.random.default_rng(0)
    for number in range(9):
        wave = rng.normal(size=60 if number == 7 else 400) / 10
        soundfile.write(tmp_path / f"{'ab'[number % 2]}_{number}.wav", wave, 8000)
    config = configure(str(tmp_path), job=job, test_files="*_[67].wav")
    with pytest.raises(DataError, match=r"test part: b_7\.wav: 60 samples at 8000 Hz are less"):
        config.read_data()


def test_a_training_that_fails_at_once_leaves_nothing(tmp_path):
    x = np.random.default_rng(0).normal(size=(40, 4, 2))
    np.savez(tmp_path / "data.npz", X=x, y=["a", "b"] * 20)
    options = {"optimizer": "sgd", "gradient_clip": None, "schedule": "constant", "batch_size": 2}
    config = configure(str(tmp_path / "data.npz"), learning_rate=1e30, cell="elman", **options)
    (tmp_path / "kept").mkdir()
    (tmp_path / "kept/notes.txt").write_text("mine")
    for name in ("made", "kept"):
        with pytest.raises(TrainingError):
            run(config, RunFolder(tmp_path / name))
    assert not (tmp_path / "made").exists()
    assert [path.name for path in (tmp_path / "kept").iterdir()] == ["notes.txt"]


def test_numbers_that_are_read_as_words_are_told(tmp_path):
    (tmp_path / "series.tsv").write_text("1\t0.5\t-0.25\n2\t1.5\t3e-2\n" * 10)
    (tmp_path / "texts.tsv").write_text("1\tone and 0.5\n2\ttwo\n" * 10)
    told = []
    for name in ("series", "texts"):
        config = configure(str(tmp_path / f"{name}.tsv"))
        told.append(job_of("classify").remarks(config.read_data()))
    assert told[1] == []
    (said,) = told[0]
    assert said.startswith("series: the texts are numbers alone, and each is read as a word")


@pytest.mark.parametrize(
    ("job", "name"),
    [
        ("classify", "mnist"),
        ("label", "mnist-clips"),
        ("forecast", "m4-hourly"),
        ("caption", "mnist-scenes"),
    ],
)
def test_the_name_of_a_data_set_is_no_path_where_a_folder_is_called_so(
    tmp_path, monkeypatch, job, name
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / name).mkdir()
    assert configure(name, name, job=job).data == name
    assert configure(f"./{name}", job=job).data == str(tmp_path / name)
