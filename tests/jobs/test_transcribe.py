"""Writing down sequences: what is learned, said, aligned, stored, and refused."""

import json
import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_array_equal
from spoiled_samples import sequences, spoiled

import cellwright as cw
from cellwright.data import Sequences
from cellwright.data.audio import Recordings
from cellwright.errors import (
    ArgumentError,
    CellwrightError,
    DataError,
    ModelFileError,
    SettingError,
    ShapeError,
)
from cellwright.jobs import model_file
from cellwright.jobs.transcribe.error_rates import character_errors, error_rates
from cellwright.jobs.transcribe.estimator import TranscriberFacts
from cellwright.jobs.transcribe.examples import CtcLoss, Transcripts
from cellwright.jobs.transcribe.languages import next_symbol

pytest.importorskip("jiwer")

LETTERS = "abc "
OPTIONS = {"layers": [12], "learning_rate": 0.03, "epochs": 25, "validation_fraction": 0}


def shown(text, rng):
    """Some steps in the direction of each letter, noise over all, a still step between."""
    parts = []
    for letter in text:
        direction = np.eye(4)[LETTERS.index(letter)]
        parts += [np.tile(direction, (rng.integers(2, 5), 1)), np.zeros((1, 4))]
    steps = np.concatenate(parts)
    return (steps + rng.normal(size=steps.shape) / 10).astype(np.float32)


def examples(count, seed=0):
    rng = np.random.default_rng(seed)
    texts = []
    while len(texts) < count:
        text = "".join(rng.choice(list(LETTERS), rng.integers(1, 6)))
        if text == text.strip():
            texts.append(text)
    return [shown(text, rng) for text in texts], texts


@pytest.fixture(scope="module")
def scribe():
    return cw.Transcriber(**OPTIONS).fit(*examples(120))


@pytest.fixture(scope="module")
def one_way():
    options = OPTIONS | {"bidirectional": False, "stride": 2, "convolution": 8}
    return cw.Transcriber(**options).fit(*examples(120))


def test_texts_that_were_never_seen_are_written(scribe):
    x, texts = examples(50, seed=1)
    assert scribe.symbols_ == [" ", "a", "b", "c"]
    assert scribe.score(x, texts) > 0.97
    rates = scribe.error_rates(x, texts)
    assert rates["character_error_rate"] == pytest.approx(1 - scribe.score(x, texts))
    said = scribe.predict(x)
    assert rates["exact"] == sum(a == b for a, b in zip(said, texts, strict=True)) / 50
    # Neither order nor neighbours matter.
    assert scribe.predict(x[::-1]) == said[::-1]
    assert scribe.predict([x[3]]) == [said[3]]


def test_a_search_sees_at_least_what_the_best_path_is_worth(scribe):
    x, texts = examples(20, seed=2)
    search = cw.Transcriber(**(OPTIONS | {"decoder": "beam", "beam_width": 5}))
    search.knows(scribe.facts_)
    search.network_ = scribe.network_
    assert search.score(x, texts) > 0.97
    pairs = zip(search.found(x), scribe.found(x), strict=True)
    for (text, log_probability), (path_text, path) in pairs:
        if text == path_text:
            assert path - 1e-3 <= log_probability <= 1e-6

    def only_a(before):
        assert isinstance(before, str)
        return {"a": 0.0}

    search.language_weight = 5.0
    assert set("".join(search.predict(x, language_model=only_a))) <= {"a"}


@pytest.mark.parametrize("texts", [["abba cab" * 20], ["abba cab"] * 20])
def test_a_language_model_of_the_house_takes_part(scribe, texts):
    language = cw.LanguageModel(layers=[8], batch_size=4, steps=8, epochs=2, dropout=0).fit(texts)
    ask = next_symbol(language, scribe.symbols_)
    vocabulary = language.vocabulary_
    for before in ("", "ab", "abb", "ca", "ab"):
        symbols = tuple(scribe.symbols_.index(letter) + 1 for letter in before)
        found = ask(symbols)
        # Who has read a single text does not know where texts end.
        assert (found[0] == 0) == (len(texts) == 1)
        if before:
            chances = language.predict_proba([before])[0]
            numbers = [vocabulary.begin, *(vocabulary.number(s) for s in scribe.symbols_)]
            known = slice(len(texts) == 1, None)
            assert np.allclose(np.exp(found)[known], chances[numbers][known], atol=1e-6)
    # A text that is much longer than Python's stack is deep.
    assert np.isfinite(ask((2,) * 3000)).all()
    words = cw.LanguageModel(layers=[4], vocabulary="words", batch_size=2, steps=4, epochs=1)
    words.fit(["a b c a b c"] * 9)
    with pytest.raises(DataError, match="the language model reads words"):
        next_symbol(words, scribe.symbols_)


def test_what_the_search_adds_must_be_finite():
    for name in ("insertion_bonus", "language_weight"):
        for value in (np.nan, np.inf):
            with pytest.raises(SettingError, match=f"{name}={value}: .*finite"):
                cw.Transcriber(**{name: value}).options()


def test_language_models_that_are_none(scribe):
    with pytest.raises(ArgumentError, match="a language model must be"):
        next_symbol("abc", "ab")
    with pytest.raises(ArgumentError, match="must give a mapping .*; got list"):
        next_symbol(lambda before: [0.0], "ab")(())
    with pytest.raises(SettingError, match="takes part in a search only"):
        scribe.predict(examples(1)[0], language_model=lambda before: {})
    for chance in (np.nan, np.inf, "a", None, [1, 2]):
        with pytest.raises(ArgumentError, match="numbers below infinity"):
            next_symbol(lambda before, chance=chance: {"a": chance}, "ab")(())
    assert_array_equal(next_symbol(lambda before: {"a": -np.inf}, "a")(()), [0, -np.inf])


def test_alignments_stand_where_the_letters_were_shown(scribe):
    rng = np.random.default_rng(5)
    for text in ("abc", "cab", "a b"):
        x = np.concatenate([np.r_[np.tile(np.eye(4)[LETTERS.index(s)], (4, 1))] for s in text])
        x = x + rng.normal(size=x.shape) / 10
        (alignment,) = scribe.align([x], [text])
        assert "".join(span.symbol for span in alignment.spans) == text
        for number, span in enumerate(alignment.spans):
            assert 0 <= span.start < span.end <= len(x)
            # CTC may put a symbol anywhere in its stretch, but not in another's middle.
            assert 4 * number - 1 <= span.start <= 4 * number + 4
        assert alignment.log_probability <= 0
    with pytest.raises(DataError, match=r"X\[0\]: 2 steps cannot spell .*'abc'"):
        scribe.align([np.zeros((2, 4))], ["abc"])
    with pytest.raises(DataError, match=r"texts\[0\] has 'z', a character never seen"):
        scribe.align([np.zeros((9, 4))], ["z"])


def test_a_stream_writes_what_is_predicted(one_way, scribe):
    x, texts = examples(30, seed=3)
    assert one_way.score(x, texts) > 0.8
    said = one_way.predict(x)
    stream = one_way.stream()
    for sequence, text in zip(x, said, strict=True):
        written = [stream.step(step) for step in sequence]
        assert "".join(written) + stream.finish() == text
    with pytest.raises(ShapeError, match=r"expected \(features=4,\), got \(3,\)"):
        stream.step(np.zeros(3))
    with pytest.raises(SettingError, match="bidirectional=False"):
        scribe.stream()


def test_steps_of_whole_numbers_are_read_as_such():
    x, texts = examples(40, seed=3)
    whole = [np.rint(3 * sequence).astype(np.int64) for sequence in x]
    options = OPTIONS | {"bidirectional": False, "epochs": 8}
    made = cw.Transcriber(**options).fit(whole, texts)
    said = made.predict(whole[:5])
    assert any(said)
    stream = made.stream()
    for sequence, text in zip(whole, said, strict=False):
        assert "".join(stream.step(step) for step in sequence) + stream.finish() == text


def test_spans_of_a_stride_end_with_the_sequence(one_way):
    x, texts = examples(10, seed=4)
    for value, alignment in zip(x, one_way.align(x, texts), strict=True):
        assert all(span.start % 2 == 0 for span in alignment.spans)
        assert all(span.end <= len(value) for span in alignment.spans)


def test_what_is_stored_says_the_same(scribe, tmp_path):
    scribe.save(tmp_path / "m.cw")
    again = cw.load(tmp_path / "m.cw")
    x, _ = examples(10, seed=6)
    assert again.predict(x) == scribe.predict(x)
    assert again.symbols_ == scribe.symbols_
    for a, b in zip(again.predict_log_proba(x), scribe.predict_log_proba(x), strict=True):
        assert_array_equal(a, b)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"symbols": ["a", "a", "b", "c"]}, "stands there twice"),
        ({"symbols": ["ab", "c", "d", "e"]}, "symbols"),
        ({"symbols": []}, "symbols"),
        ({"features": 5}, "tensor"),
        ({"feature_names": ["x"]}, "1 names cannot be those of 4 features"),
        ({"rate": 0}, "rate"),
    ],
)
def test_facts_that_contradict_are_refused(scribe, tmp_path, changes, message):
    facts = scribe.facts_.model_dump(exclude_none=True) | changes
    path = tmp_path / "m.cw"
    model_file.write(path, "transcribe", scribe.options(), facts, scribe.network_)
    with pytest.raises(ModelFileError, match=message):
        cw.load(path)


def test_a_giant_convolution_is_refused(scribe, tmp_path):
    options = scribe.options() | {"convolution": 2**40}
    facts = scribe.facts_.model_dump(exclude_none=True)
    model_file.write(tmp_path / "m.cw", "transcribe", options, facts, scribe.network_)
    with pytest.raises(ModelFileError, match="filters cannot be made of"):
        cw.load(tmp_path / "m.cw")


def test_a_training_that_was_cut_off_goes_on_to_the_same_weights(tmp_path):
    x, texts = examples(40)
    options = {"layers": [5], "epochs": 3, "stride": 2, "dropout": 0.3, "validation_fraction": 0.2}
    whole = cw.Transcriber(**options).fit(x, texts)
    checkpoint = tmp_path / "c.safetensors"

    class EnoughError(Exception):
        pass

    def stop(history):
        if len(history) == 2:
            raise EnoughError

    with pytest.raises(EnoughError):
        cw.Transcriber(**options).fit(x, texts, checkpoint=checkpoint, on_epoch=stop)
    again = cw.Transcriber(**options).fit(x, texts, checkpoint=checkpoint, resume=True)
    assert len(again.history_) == 3
    for name, weight in whole.network_.state_dict().items():
        assert torch.equal(weight, again.network_.state_dict()[name]), name
    assert "validation_character_error_rate" in again.history_[-1]


def test_the_loss_is_that_of_each_text_alone(scribe):
    x, texts = examples(7, seed=8)
    targets = [[scribe.symbols_.index(s) + 1 for s in text] for text in texts]
    network, loss = scribe.network_.eval(), CtcLoss()
    source = Transcripts(Sequences(x), targets)
    (together,) = source.batches(7)
    _, measured = loss(network, together)
    alone = [loss(network, batch)[1] for batch in source.batches(1)]
    for name in ("loss", "character_error_rate"):
        assert float(measured[name]) == pytest.approx(sum(float(m[name]) for m in alone), rel=1e-4)
    assert together.answers == sum(map(len, texts))


@pytest.mark.parametrize(
    ("texts", "error", "message"),
    [
        (["ab", ""], DataError, r"texts\[1\] is an empty text"),
        (["ab", "  "], DataError, r"texts\[1\] is an empty text"),
        (["ab", 3], DataError, r"texts\[1\]: expected text, got int"),
        (["ab"], ShapeError, "X has 2 samples but there are 1 texts"),
        ("ab", DataError, "texts: expected a list of texts, got str"),
        (np.array("ab"), ShapeError, r"texts: expected \(texts,\), got \(\)"),
        (["ab", "a\ud800"], DataError, r"texts\[1\]: character 1 is half of a surrogate pair"),
        (["ab", "abababa"], DataError, r"X\[1\]: its 6 steps, read 2 at once, are 3; too few for"),
        (["ab", "aab"], DataError, r"X\[1\]: its 6 steps.* which needs 4"),
    ],
)
def test_texts_that_cannot_be_learned(texts, error, message):
    started = []
    with pytest.raises(error, match=message):
        cw.Transcriber(stride=2, validation_fraction=0).fit(
            [np.ones((9, 2)), np.ones((6, 2))], texts, on_start=lambda: started.append(1)
        )
    assert not started


def test_sequences_that_cannot_be_read(scribe):
    bad = np.ones((9, 4))
    bad[3, 1] = np.nan
    with pytest.raises(DataError, match=r"X\[0\].*step 3, feature 1"):
        cw.Transcriber(validation_fraction=0).fit([bad], ["a"])
    with pytest.raises(ShapeError, match="features=4"):
        scribe.predict([np.ones((9, 3))])
    with pytest.raises(DataError, match="empty"):
        scribe.predict([])


@settings(max_examples=60, derandomize=True)
@given(st.data())
def test_whatever_is_given_trains_or_is_refused_by_name(data):
    x = data.draw(sequences())
    # As many characters as there are steps, so that some texts are longer than these allow.
    y = ["ab a"[: len(steps)].strip() for steps in x]
    spoiled_x, spoiled_y = spoiled(x), spoiled(y)
    x, y = data.draw(spoiled_x), data.draw(spoiled_y)
    options = data.draw(
        st.sampled_from(
            [
                {"validation_fraction": 0},
                {"validation_fraction": 0.4, "stride": 2, "bidirectional": False},
                {"validation_fraction": 0, "decoder": "beam", "beam_width": 2, "scaling": "none"},
                {"validation_fraction": 0.4, "convolution": 2, "precision": "64-true"},
            ]
        )
    )
    model = cw.Transcriber(layers=[2], epochs=1, batch_size=2, backend="reference", **options)
    try:
        model.fit(x, y)
    except CellwrightError as error:
        assert str(error)  # noqa: PT017 any of ours will do
        return
    asked = (
        lambda each: [log_probability for _, log_probability in model.found(each)],
        lambda each: model.score(each, data.draw(spoiled_y)),
        lambda each: [found.log_probability for found in model.align(each, data.draw(spoiled_y))],
    )
    for ask in asked:
        for each in (x, *data.draw(st.tuples(spoiled_x, spoiled_x, spoiled_x))):
            try:
                assert np.isfinite(ask(each)).all()
            except CellwrightError as error:
                assert str(error)  # noqa: PT017


def test_errors_are_counted_as_edits():
    assert character_errors(["kitten"], ["sitting"]) == 3
    rates = error_rates(["a b", "cd"], ["a b", "xd"])
    assert rates == {"character_error_rate": 0.2, "word_error_rate": 1 / 3, "exact": 0.5}
    assert error_rates(["ab"], [""])["character_error_rate"] == 1
    with pytest.raises(DataError, match=r"texts\[1\] is empty"):
        error_rates(["a", " "], ["a", "a"])


def tones(texts, rate=4000, seed=0):
    """A tone for each letter."""
    rng, waves = np.random.default_rng(seed), []
    for text in texts:
        parts = []
        for letter in text:
            pitch = {"a": 300, "b": 700, "c": 1500}[letter]
            parts += [
                np.sin(2 * np.pi * pitch * np.arange(rate // 10) / rate),
                np.zeros(rate // 20),
            ]
        wave = np.concatenate(parts)
        waves.append((wave + rng.normal(size=len(wave)) / 100).astype(np.float32))
    names = tuple(f"{number}.wav" for number in range(len(waves)))
    return Recordings(waves, rate, names, tuple(texts))


def test_recordings_are_heard_and_their_rate_is_remembered(tmp_path):
    pytest.importorskip("kaldi_native_fbank")
    rng = np.random.default_rng(0)
    texts = ["".join(rng.choice(list("abc"), rng.integers(1, 4))) for _ in range(48)]
    options = OPTIONS | {"filters": 12, "stride": 3, "epochs": 20, "batch_size": 8}
    scribe = cw.Transcriber(**options).fit(tones(texts), texts)
    assert scribe.score(tones(["cab", "ba", "a"], seed=1), ["cab", "ba", "a"]) == 1
    scribe.save(tmp_path / "m.cw")
    again = cw.load(tmp_path / "m.cw")
    assert again.rate_ == 4000
    assert again.predict(tones(["cb"], seed=2)) == ["cb"]
    (alignment,) = again.align(tones(["ab"]), ["ab"])
    assert alignment.spans[0].start < 15 <= alignment.spans[1].end  # b sounds from 0.15 s on
    with pytest.raises(DataError, match="'0.wav', have 8000 Hz, but the model learned from 4000"):
        again.predict(tones(["ab"], rate=8000))
    with pytest.raises(DataError, match="X is empty"):
        again.predict(tones([], rate=8000))
    silence = Recordings([np.zeros(2000, np.float32)], 4000, ("still.wav",), None)
    assert all(math.isfinite(log_probability) for _, log_probability in again.found(silence))


def test_a_run_from_data_to_scores(tmp_path):
    config = cw.jobs.configure(
        job="transcribe",
        **{"joined": 60, "tested": 8, "most": 3, "layers": [6], "epochs": 2, "stride": 2},
    )
    folder = cw.jobs.RunFolder(tmp_path / "run")
    result = cw.jobs.run(config, folder)
    assert list(result["test"]) == ["character_error_rate", "word_error_rate", "exact", "samples"]
    assert {"transcripts.csv", "model.cw"} <= set(result["files"])
    model = cw.load(tmp_path / "run")
    given = cw.jobs.samples(model, tmp_path / "run", None, None)
    table = cw.jobs.predictions(model, given, probabilities=True)
    assert table.columns.tolist() == ["id", "prediction", "probability"]
    assert table["probability"].between(0, 1).all()
    measures, report = cw.jobs.scores(model, given)
    assert measures == result["test"]
    assert "character error rate" in report
    assert json.loads((tmp_path / "run/result.json").read_text())["test"] == result["test"]


def test_a_language_model_without_a_search_is_refused(tmp_path):
    config = cw.jobs.configure(job="transcribe", language="somewhere", joined=9, tested=2)
    with pytest.raises(SettingError, match="add --decoder beam"):
        cw.jobs.run(config, cw.jobs.RunFolder(tmp_path / "run"))


def test_a_language_model_is_looked_at_before_the_training(scribe, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    options = {"job": "transcribe", "decoder": "beam", "joined": 9, "tested": 2}
    scribe.save("scribe.cw")
    words = cw.LanguageModel(layers=[4], vocabulary="words", batch_size=2, steps=4, epochs=1)
    words.fit(["a b c a b c"] * 9).save("words.cw")
    for path, error, message in (
        ("nowhere", ModelFileError, "nowhere"),
        ("scribe.cw", SettingError, "scribe.cw': a language model must be.* got Transcriber"),
        ("words.cw", SettingError, "words.cw': the language model reads words"),
    ):
        config = cw.jobs.configure(**options, language=path)
        assert config.reading["language"] == str(tmp_path / path)
        with pytest.raises(error, match=message):
            cw.jobs.run(config, cw.jobs.RunFolder(tmp_path / "run"))
        assert not (tmp_path / "run").exists()
    letters = cw.LanguageModel(layers=[4], batch_size=2, steps=4, epochs=1).fit("1234567890" * 9)
    letters.save("letters.cw")
    config = cw.jobs.configure(**options, language="letters.cw", epochs=1, layers=[4])
    cw.jobs.run(config, cw.jobs.RunFolder(tmp_path / "run"))
    monkeypatch.chdir("/")
    model = cw.load(tmp_path / "run")
    given = cw.jobs.samples(model, tmp_path / "run", None, None)
    assert len(cw.jobs.predictions(model, given)) == 2


def test_a_second_fit_forgets_the_first():
    scribe = cw.Transcriber(layers=[3], epochs=1, validation_fraction=0)
    named = Sequences([np.ones((4, 2), np.float32)] * 2, ("p", "q"))
    scribe.fit(named, ["a", "b"])
    assert scribe.feature_names_in_.tolist() == ["p", "q"]
    scribe.fit([np.ones((4, 3))] * 2, ["x", "yz"])
    assert scribe.symbols_ == ["x", "y", "z"]
    assert (scribe.n_features_in_, hasattr(scribe, "feature_names_in_")) == (3, False)


def test_names_are_brought_into_order():
    rng = np.random.default_rng(0)
    values = [rng.normal(size=(5, 2)).astype(np.float32) for _ in range(4)]
    scribe = cw.Transcriber(layers=[3], epochs=1, validation_fraction=0)
    scribe.fit(Sequences(values, ("p", "q")), ["a", "b", "a", "b"])
    turned = Sequences([value[:, ::-1] for value in values], ("q", "p"))
    pairs = zip(
        scribe.predict_log_proba(turned),
        scribe.predict_log_proba(Sequences(values, ("p", "q"))),
        strict=True,
    )
    assert all(np.array_equal(a, b) for a, b in pairs)


def test_facts_are_plain():
    facts = TranscriberFacts(symbols=["a"], features=3, rate=8000)
    assert TranscriberFacts.model_validate(json.loads(facts.model_dump_json())) == facts
