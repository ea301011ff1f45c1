"""Classifiers and regressors asked while a sequence still goes on."""

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import cellwright as cw
from cellwright.data.audio import Recordings
from cellwright.errors import DataError, SettingError, ShapeError
from cellwright.jobs.streams import checked_step


@pytest.fixture(scope="module")
def numbers():
    rng = np.random.default_rng(0)
    return rng.normal(size=(40, 6, 2)) + np.arange(40)[:, None, None] % 2


@pytest.mark.parametrize("pooling", ["last", "mean", "max"])
def test_a_classifier_says_what_predict_says(numbers, pooling):
    labels = np.array(["even", "odd"])[np.arange(40) % 2]
    model = cw.SequenceClassifier(layers=[6], epochs=2, pooling=pooling).fit(numbers, labels)
    stream = model.stream()
    assert stream.probabilities is None
    for x in numbers[:3]:
        for step in range(6):
            label = stream.step(x[step])
            chances = model.predict_proba(x[None, : step + 1])[0]
            np.testing.assert_allclose(stream.probabilities, chances, atol=1e-6)
            assert label == model.classes_[chances.argmax()]
        stream.reset()


KINDS = ("words", "tokens", "characters", "bytes", "subwords")


@pytest.fixture(scope="module", params=KINDS)
def reader(request):
    texts = ["so very good", "so very bad!", "good, good", "bad bad"] * 6
    options = {"layers": [6], "embedding": 4, "epochs": 2, "vocabulary": request.param}
    return cw.SequenceClassifier(**options).fit(texts, [1, 0] * 12)


@settings(
    max_examples=40,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(
    st.lists(
        st.sampled_from(
            ["so", " very", " bad", "!", " ", "\n", "  good", ",", "e", "\u0301", "BA"]
        ),
        min_size=1,
        max_size=8,
    )
)
def test_a_text_comes_in_pieces_that_are_joined_as_they_stand(reader, pieces):
    stream, whole = reader.stream(), ""
    for piece in pieces:
        try:
            label = stream.step(piece)
        except DataError as error:
            assert "goes on with a word" in str(error) or not (whole + piece).strip()  # noqa: PT017
            if reader.vocabulary in ("characters", "bytes"):
                assert not (whole + piece).strip() or piece == "\u0301"
            continue
        whole += piece
    if whole.strip():  # predict reads no blanks alone
        (chances,) = reader.predict_proba([whole])
        np.testing.assert_allclose(stream.probabilities, chances, atol=1e-6)
        assert label == reader.classes_[chances.argmax()]


def test_a_word_cut_in_two_is_refused_and_a_text_goes_on_behind_it(reader):
    stream, whole = reader.stream(), "so good"
    stream.step("so")
    if reader.vocabulary in ("words", "tokens"):
        with pytest.raises(DataError, match="step 1: 'good' goes on with a word"):
            stream.step("good")
    stream.step(" good")
    expected = reader.predict_proba([whole])[0]
    np.testing.assert_allclose(stream.probabilities, expected, atol=1e-6)
    stream.reset()
    assert stream.probabilities is None
    stream.step("good")
    expected = reader.predict_proba(["good"])[0]
    np.testing.assert_allclose(stream.probabilities, expected, atol=1e-6)
    stream.reset()
    with pytest.raises(DataError, match="step 0: an empty text"):
        stream.step("")
    with pytest.raises(DataError, match="step 0: expected text, got float"):
        stream.step(1.5)


@pytest.mark.parametrize("targets", [1, 2])
def test_a_regressor_says_what_predict_says(numbers, targets):
    truth = numbers.mean(1)[:, 0] * 50 + 7 if targets == 1 else numbers.mean(1)
    options = {"layers": [6], "epochs": 2, "loss": "quantile", "quantiles": (0.1, 0.4, 0.9)}
    model = cw.SequenceRegressor(**options).fit(numbers, truth)
    stream = model.stream()
    for step in range(6):
        told = stream.step(numbers[3, step])
        np.testing.assert_allclose(told, model.predict(numbers[3:4, : step + 1])[0], rtol=1e-5)


def test_what_is_no_step_is_refused(numbers):
    model = cw.SequenceRegressor(layers=[4], epochs=1).fit(numbers, np.arange(40.0))
    stream = model.stream()
    stream.step([1, 2])
    with pytest.raises(ShapeError, match=r"step 1: expected \(features=2,\)"):
        stream.step(1.0)
    with pytest.raises(ShapeError, match=r"step 1: not an array \(features,\)"):
        stream.step([1, [2, 3]])
    with pytest.raises(DataError, match="step 1: expected finite numbers"):
        stream.step([1, np.nan])


def test_a_step_may_be_what_predict_takes(numbers):
    model = cw.SequenceRegressor(layers=[4], epochs=1).fit(numbers, np.arange(40.0))
    step = torch.tensor(numbers[0, 0], requires_grad=True)
    np.testing.assert_allclose(model.stream().step(step), model.predict([step[None]])[0], rtol=1e-5)


@pytest.mark.parametrize(
    ("model", "answer"),
    [
        (cw.SequenceClassifier(), lambda n: n % 2),
        (cw.SequenceRegressor(), float),
        (cw.SequenceLabeler(bidirectional=False), lambda n: np.arange(6) * (n % 2)),
        (cw.Transcriber(bidirectional=False), lambda n: "ab"[n % 2]),
    ],
)
def test_a_row_of_a_table_is_read_by_its_names(numbers, model, answer):
    row = pd.Series({"b": 2.0, "a": 1.0})
    assert checked_step(row, 2, 0, ["a", "b"]).tolist() == [[1, 2]]
    tables = [pd.DataFrame(x, columns=["a", "b"]) for x in numbers[:8]]
    model.set_params(layers=[4], epochs=1, validation_fraction=0)
    stream = model.fit(tables, [answer(number) for number in range(8)]).stream()
    stream.step(row)
    with pytest.raises(DataError, match="step 1: its features are b, c, those .* learned a, b"):
        stream.step(row.rename({"a": "c"}))


def test_what_has_no_stream_says_so(numbers):
    both = cw.SequenceRegressor(layers=[4], epochs=1, bidirectional=True)
    with pytest.raises(SettingError, match="bidirectional"):
        both.fit(numbers, np.arange(40.0)).stream()
    rng = np.random.default_rng(0)
    waves = [rng.normal(size=2000).astype(np.float32) for _ in range(12)]
    recordings = Recordings(waves, 8000, tuple(map(str, range(12))), None)
    hearing = cw.SequenceClassifier(layers=[4], epochs=1).fit(recordings, [0, 1] * 6)
    with pytest.raises(SettingError, match="as a whole"):
        hearing.stream()
