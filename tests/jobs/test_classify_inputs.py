"""`SequenceClassifier` on texts and sounds; class weights, calibration, whole runs."""

import json

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose, assert_array_equal

import cellwright as cw
from cellwright import jobs
from cellwright.data import Batch
from cellwright.data.audio import Recordings, read_recordings
from cellwright.data.sequences import as_sequences
from cellwright.errors import CellwrightError, DataError, ModelFileError, SettingError, ShapeError
from cellwright.jobs.classify.estimator import _class_weights, _CrossEntropy
from cellwright.jobs.classify.inputs import given
from cellwright.look.calibration_picture import calibration_error, draw_calibration

GOOD, BAD = ("fine", "great", "lovely", "warm"), ("dull", "poor", "cold", "flat")


def classifier(**options):
    defaults = {"layers": [8], "epochs": 8, "batch_size": 8, "learning_rate": 0.02}
    return cw.SequenceClassifier(**{**defaults, "embedding": 8, **options})


@pytest.fixture(scope="module")
def reviews():
    draw = np.random.default_rng(0)
    texts, labels = [], []
    for number in range(60):
        words = GOOD if number % 2 else BAD
        texts.append(" ".join(["a", *draw.choice(words, 1 + number % 3), "film"]))
        labels.append("good" if number % 2 else "bad")
    return texts, labels


@pytest.fixture(scope="module")
def tones():
    draw = np.random.default_rng(0)
    waves = [
        np.sin(np.arange(draw.integers(800, 1400)) * (0.2 if n % 2 else 0.9)).astype(np.float32)
        for n in range(40)
    ]
    return waves, ["low" if n % 2 else "high" for n in range(40)]


@pytest.fixture(scope="module")
def reader(reviews):
    return classifier(word_dropout=0.1).fit(*reviews)


@pytest.mark.parametrize("vocabulary", ["words", "characters", "subwords", "bytes", "tokens"])
def test_texts_are_learned(reviews, vocabulary):
    texts, labels = reviews
    model = classifier(vocabulary=vocabulary, vocabulary_size=270, layers=[12], epochs=10)
    assert model.fit(texts, labels).score(texts, labels) > 0.9
    assert model.inputs_.kind == "text"
    assert model.network_.embedding.num_embeddings == len(model.inputs_.vocabulary)


def test_the_form_of_texts_does_not_matter(reader, reviews):
    texts, _ = reviews
    chances = reader.predict_proba(texts)
    for form in (np.array(texts), np.array(texts, dtype=object), tuple(texts)):
        assert_array_equal(reader.predict_proba(form), chances)
    # One by one, and in another order: what is padded does not matter.
    assert_allclose(reader.predict_proba(texts[7:8]), chances[7:8], atol=1e-6)
    assert_allclose(reader.predict_proba(texts[::-1]), chances[::-1], atol=1e-6)


def test_words_never_seen_are_read_as_unknown(reader):
    assert_array_equal(reader.predict_proba(["zebra"]), reader.predict_proba(["quagga"]))
    assert_array_equal(reader.predict_proba(["FINE"]), reader.predict_proba(["fine"]))


def test_the_vocabulary_is_learned_from_the_training_part_alone(reviews):
    texts, labels = [f"{text} w{n}" for n, text in enumerate(reviews[0])], reviews[1]
    model = classifier(epochs=1, validation_fraction=0.5).fit(texts, labels)
    own = [word for word in model.inputs_.vocabulary.tokens if word.startswith("w") and word[1:]]
    assert len([word for word in own if word[1:].isdigit()]) == 30


def test_a_model_of_texts_is_saved_with_its_words(reader, reviews, tmp_path):
    reader.save(tmp_path / "m.cw")
    again = cw.load(tmp_path / "m.cw")
    assert_array_equal(again.predict_proba(reviews[0]), reader.predict_proba(reviews[0]))
    assert again.inputs_.vocabulary == reader.inputs_.vocabulary


@pytest.mark.parametrize(
    "change",
    [
        {"words": 3},
        {"words": 2**40},
        {"vocabulary": None},
        {"vocabulary": "{}"},
        {"words": None},
        {"reads": "numbers"},
        {"reads": "sound"},
        {"rate": 8000},
    ],
)
def test_a_file_whose_facts_contradict_is_refused(reader, tmp_path, change):
    from cellwright.jobs import model_file
    from cellwright.jobs.training.tensor_file import write_tensors

    reader.save(tmp_path / "m.cw")
    description, tensors = model_file.read(tmp_path / "m.cw")
    document = description.model_dump()
    document["facts"] |= change
    write_tensors(tmp_path / "bad.cw", tensors, json.loads(json.dumps(document)))
    with pytest.raises(ModelFileError):
        cw.load(tmp_path / "bad.cw")


def test_sounds_are_learned_as_waves_or_recordings(tones, tmp_path):
    pytest.importorskip("kaldi_native_fbank")
    waves, labels = tones
    model = classifier(sample_rate=8000, normalized="none", filters=12, epochs=5)
    model.fit(waves, labels)
    assert model.score(waves, labels) > 0.9
    assert model.n_features_in_ == 12
    given = Recordings(waves, 8000, tuple(map(str, range(40))), None)
    assert_array_equal(model.predict_proba(given), model.predict_proba(waves))
    whole = [np.round(wave * 32767).astype(np.int16) for wave in waves]
    assert_allclose(model.predict_proba(whole), model.predict_proba(waves), atol=0.02)
    other = Recordings(waves, 16000, given.names, None)
    with pytest.raises(DataError, match="16000 Hz, and 8000 Hz"):
        model.predict(other)
    with pytest.raises(DataError, match="sample_rate=8000: they were recorded at 16000 Hz"):
        classifier(sample_rate=8000).fit(other, labels)
    columns = as_sequences([wave[:, None] for wave in waves])  # as a file of numbers is read
    for same in (columns, list(columns)):
        assert_array_equal(model.predict_proba(same), model.predict_proba(waves))
    model.save(tmp_path / "m.cw")
    assert_array_equal(cw.load(tmp_path / "m.cw").predict(waves), model.predict(waves))


@pytest.mark.parametrize(
    ("subtype", "dtype"), [("PCM_U8", "uint8"), ("PCM_16", "int16"), ("PCM_32", "int32")]
)
def test_whole_numbers_are_those_of_a_file(subtype, dtype, tmp_path):
    soundfile = pytest.importorskip("soundfile")
    wave = 0.9 * np.sin(np.arange(400) / 5)
    soundfile.write(tmp_path / "a.wav", wave, 8000, subtype=subtype)
    shift = 128 if dtype == "uint8" else 0
    half = 2.0 ** (8 * np.dtype(dtype).itemsize - 1)
    whole = (np.round(wave * half) + shift).astype(dtype)
    (heard,) = given([whole], {"sample_rate": 8000}).waves
    assert_allclose(heard, read_recordings(tmp_path).waves[0], atol=1.01 / half)
    assert_allclose(heard, wave, atol=1.01 / half)


@pytest.mark.parametrize(
    ("x", "options", "error", "words"),
    [
        (["a"] * 9 + [" "], {}, DataError, r"X\[9\] is an empty text"),
        (["a"] * 9 + [3.0], {}, DataError, r"X\[9\]: expected text, got float"),
        ([np.zeros(900)] * 10, {"sample_rate": 8000}, DataError, r"X\[0\] is silent"),
        ([np.r_[1.0, np.nan]] * 10, {"sample_rate": 8000}, DataError, "sample 1 is not a finite"),
        ([np.ones((9, 2))] * 10, {"sample_rate": 8000}, ShapeError, "expected a wave"),
        ([[3, -20, 400]] * 10, {"sample_rate": 8000}, DataError, r"X\[0\].*int64 do not tell how"),
        ([np.r_[1.0, 2.0]] * 20, {"sample_rate": 8000}, DataError, "less than a window"),
        ([["a", "b"]] * 10, {}, CellwrightError, "expected numbers"),
        (as_sequences(np.ones((10, 9, 2))), {"sample_rate": 8000}, ShapeError, "expected a wave"),
        (["a b"] * 10, {"sample_rate": 8000}, DataError, "texts are no waves"),
        (["a"] * 10, {"vocabulary": "letters"}, SettingError, "vocabulary="),
        (["a b"] * 20, {"least": 99}, DataError, "no words seen 99 times"),
    ],
)
def test_bad_input_is_named_before_the_training(x, options, error, words):
    started = []
    with pytest.raises(error, match=words):
        classifier(**options).fit(x, [0, 1] * (len(x) // 2), on_start=lambda: started.append(1))
    assert not started


def test_a_model_reads_only_what_it_learned_from(reader, waves):
    with pytest.raises(DataError, match="expected text, as was learned from, got numbers"):
        reader.predict(waves[0])
    numbers = classifier(epochs=1).fit(*waves)
    with pytest.raises(DataError, match="expected numbers, as was learned from, got text"):
        numbers.predict(["a film"])


@pytest.mark.parametrize(
    ("x", "options", "said"),
    [
        (["a film", "a book"] * 10, {}, "picture_size=4,6: the network reads texts, not pictures"),
        (np.zeros((20, 3, 25)), {}, "a step has 25 numbers, which are not pictures of 4 by 6"),
        (np.zeros((20, 3, 24)), {"picture_filters": ()}, "picture_filters"),
        (np.zeros((20, 3, 24)), {"picture_size": (4, 0)}, "picture_size"),
    ],
)
def test_what_is_no_film_is_refused(x, options, said):
    with pytest.raises(SettingError, match=said):
        classifier(**{"picture_size": (4, 6), **options}).fit(x, [0, 1] * 10)


def test_films_are_told_apart(tmp_path):
    draw = np.random.default_rng(0)
    films = draw.normal(size=(40, 3, 4, 6)) / 4
    for number, film in enumerate(films):  # a bar that lies, or one that stands
        if number % 2:
            film[:, draw.integers(4)] += 2
        else:
            film[:, :, draw.integers(6)] += 2
    x, y = films.reshape(40, 3, 24), np.arange(40) % 2
    model = classifier(picture_size=(4, 6), picture_filters=(4, 8), epochs=12).fit(x, y)
    assert model.score(x, y) > 0.9
    model.save(tmp_path / "m.cw")
    assert_array_equal(cw.load(tmp_path / "m.cw").predict_proba(x), model.predict_proba(x))


@pytest.mark.parametrize(
    ("wanted", "weights"),
    [
        ("none", None),
        ("balanced", [2 / 3, 2.0]),  # three of a, one of b: 1/3 and 1, the mean made 1
        ({"b": 5.0}, [0.5, 2.5]),  # (3 + 5) / 4 = 2
    ],
)
def test_class_weights_have_the_mean_one(wanted, weights):
    found = _class_weights(wanted, np.array(["a", "b"]), np.array([0, 0, 0, 1]))
    assert (None if found is None else found.tolist()) == (weights and pytest.approx(weights))


def test_a_weight_multiplies_the_loss_of_its_class():
    batch = Batch(torch.zeros(2, 1, 1), torch.ones(2), np.arange(2), torch.tensor([0, 1]))
    scores = torch.tensor([[1.0, 0.0], [2.0, 0.5]])
    plain = -torch.log_softmax(scores, 1)[[0, 1], [0, 1]]
    loss, sums = _CrossEntropy(0.0, torch.tensor([0.5, 3.0]))(lambda x, lengths: scores, batch)
    assert float(loss) == pytest.approx(float(plain[0] * 0.5 + plain[1] * 3) / 2)
    assert float(sums["loss"]) == pytest.approx(2 * float(loss))
    assert int(sums["accuracy"]) == 1


def test_a_label_that_is_not_there_has_no_weight(waves):
    with pytest.raises(SettingError, match=r"no label 'upp'.*'up'"):
        classifier(class_weights={"upp": 2}).fit(*waves)


def test_labels_that_are_numbers_may_be_so_among_the_weights(waves):
    x, names = waves
    y = [int(name == "up") for name in names]
    by_number, by_name = (
        classifier(class_weights=weights, epochs=1).fit(x, y)
        for weights in ({0: 1, np.int64(1): 3.5}, {"0": 1, "1": 3.5})
    )
    assert_array_equal(by_number.predict_proba(x), by_name.predict_proba(x))
    assert by_number.options()["class_weights"] == {"0": 1.0, "1": 3.5}


def test_calibration_is_measured_by_its_formula():
    right = np.array([True, False, True, True])
    confidence = np.array([0.56, 0.64, 0.95, 1.0])  # the last two are of one range
    error = (0.44 + 0.64 + 2 * 0.025) / 4
    assert calibration_error(right, confidence) == pytest.approx(error)
    chances = np.stack([confidence, 1 - confidence], 1)
    truth = np.where(right, "a", "b")
    figure = draw_calibration(truth, chances, np.array(["a", "b"]))
    assert f"{error:.4f}" in figure.axes[0].get_title()


def test_a_run_on_texts_from_data_to_result(reviews, tmp_path):
    lines = "".join(f"{label} {text}\n" for text, label in zip(*reviews, strict=True))
    (tmp_path / "reviews.txt").write_text(lines)
    config = jobs.configure(
        str(tmp_path / "reviews.txt"), epochs=2, layers=4, embedding=4, split="last"
    )
    result = jobs.run(config, jobs.RunFolder(tmp_path / "run"))
    assert result["test"]["samples"] == 12
    assert (tmp_path / "run" / "calibration.png").stat().st_size > 5000
    model = cw.load(tmp_path / "run")
    given = jobs.samples(model, tmp_path / "run", str(tmp_path / "reviews.txt"), None)
    assert len(jobs.predictions(model, given, probabilities=True)) == 60


@pytest.mark.parametrize("spoiled", [np.nan, np.inf, 1e30])
def test_recordings_hold_numbers_that_can_be_heard(spoiled):
    rng = np.random.default_rng(0)
    waves = [rng.normal(size=2000).astype(np.float32) for _ in range(6)]
    waves[3][77] = spoiled
    recordings = Recordings(waves, 8000, tuple("abcdef"), None)
    with pytest.raises(DataError, match="^d: a sample is not a number, or none between"):
        classifier(epochs=1, validation_fraction=0).fit(recordings, [0, 1] * 3)


@pytest.mark.parametrize("given", [np.array("ab"), {"a", "b"}])
def test_what_is_no_list_of_texts_is_refused(given):
    with pytest.raises((DataError, ShapeError)):
        cw.SequenceClassifier(layers=[4], epochs=1).fit(given, [0, 1])
