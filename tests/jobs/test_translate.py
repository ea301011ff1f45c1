"""The translator: learning, searching, copying, scoring, files and run folders."""

import itertools
import json
import math

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from spoiled_samples import spoiled, texts

import cellwright as cw
from cellwright import jobs
from cellwright.errors import CellwrightError, DataError, ModelFileError, SettingError, ShapeError
from cellwright.jobs import model_file
from cellwright.jobs.asked import Asked
from cellwright.jobs.training.objectives import TokenLoss
from cellwright.jobs.translate import JOB, Translator
from cellwright.jobs.translate.scores import translation_scores
from cellwright.models.beam import Hypothesis

WORDS = {"one": "un", "two": "deux", "three": "trois", "red": "rouge", "blue": "bleu"}
X = [" ".join(words) for words in itertools.permutations(WORDS, 4)][::2]
Y = [" ".join(WORDS[word] for word in text.split()) for text in X]
SMALL = {"vocabulary": "words", "cell": "gru", "layers": [24], "embedding": 16, "batch_size": 8}


def fitted(x=X, y=Y, **options):
    return Translator(**{**SMALL, "dropout": 0.0, "epochs": 1, **options}).fit(x, y)


@pytest.fixture(scope="module")
def good():
    return fitted(epochs=24, learning_rate=0.01, random_state=1)


def test_it_learns_predicts_and_scores(good):
    assert good.score(X, Y) > 95
    assert good.predict(X[33:34]) == Y[33:34]
    assert good.history_[-1]["validation_accuracy"] > 0.9
    assert set(good.history_[-1]) >= {"train_loss", "validation_loss"}


def test_a_translation_shows_what_it_attended_to(good):
    (found,) = good.translate(["one two three red"])
    assert found.source_tokens == ["one", "two", "three", "red"]
    assert found.target_tokens == ["un", "deux", "trois", "rouge"]
    assert found.weights.shape == (4, 4)
    torch.testing.assert_close(found.weights.sum(1), torch.ones(4))
    assert found.score < 0


@pytest.mark.parametrize("vocabulary", ["words", "characters", "subwords"])
def test_a_translation_comes_piece_by_piece(good, vocabulary):
    model = good
    if vocabulary != "words":
        options = {"layers": 16, "learning_rate": 0.02, "longest": 9, "vocabulary_size": 300}
        model = Translator(**options, vocabulary=vocabulary, epochs=2, batch_size=8).fit(X, Y)
    alone = Translator(**{**model.get_params(), "beam": 1})
    alone.knows(model.facts_)
    alone.network_ = model.network_.train()
    for text in X[:6]:
        told = list(alone.stream(text))
        assert len(told) > 1
        assert model.network_.training  # it is left as it is
        assert "".join(told) == alone.predict([text])[0]
        alone.network_.train()
    for bad, got in ((" ", "text is an empty text"), (3, "text: expected text, got int")):
        with pytest.raises(DataError, match=got):
            alone.stream(bad)
    model.network_.eval()


def test_an_unknown_word_is_copied_as_it_comes(good):
    unknown = good.target_vocabulary_.unknown
    weights = torch.tensor([0.1, 0.2, 0.7])
    found = [(good.target_vocabulary_.number("un"), weights), (unknown, weights), (unknown, None)]
    source = ["one", "two", "Zoe"]
    assert list(good._told(iter(found), source, True)) == ["un", " Zoe", " \ufffd"]
    assert list(good._told(iter(found), source, False)) == ["un", " \ufffd", " \ufffd"]


def test_texts_come_back_in_their_order_whatever_their_length(good):
    texts = ["one", "two red three", "three three", "red"] * 40
    assert good.predict(texts) == [text for one in texts[:4] for text in good.predict([one])] * 40


def test_files_bring_everything_back(good, tmp_path):
    good.save(tmp_path / "model.cw")
    again = cw.load(tmp_path / "model.cw")
    assert isinstance(again, Translator)
    assert again.predict(X[:9]) == good.predict(X[:9])
    assert again.network_.decoder.readout is None
    description, tensors = model_file.read(tmp_path / "model.cw")
    for change in ({"embedding": 10**9}, {"encoder_layers": [4] * 10_000}, {"layers": [10**9]}):
        bad = description.model_copy(update={"options": description.options | change})
        with pytest.raises(ModelFileError):
            Translator.restore(bad, tensors)
    bad = description.model_copy(update={"facts": description.facts | {"source_vocabulary": "{}"}})
    with pytest.raises(ModelFileError):
        Translator.restore(bad, tensors)


def test_an_unknown_word_is_copied_from_where_most_was_attended_to(good):
    unknown = good.target_vocabulary_.unknown
    told = good.target_vocabulary_.encode("un")
    weights = torch.tensor([[0.9, 0.1, 0.0], [0.0, 0.2, 0.8], [0.1, 0.7, 0.2]])
    found = Hypothesis([*told, unknown, unknown], -0.1, weights)
    numbers = good.source_vocabulary_.encode("one Zoé Ann")

    def tell(**options):
        return good._translation("one Zoé Ann", numbers, found, options)

    copied = tell(copy_unknown=True)
    assert copied.text == "un Ann Zoé"
    assert copied.target_tokens == ["un", "Ann", "Zoé"]
    assert tell(copy_unknown=False).text == "un \ufffd \ufffd"


def test_a_translator_of_subwords_knows_every_text():
    model = fitted(
        ["ab cd", "cd ab", "ab ab"] * 5, ["x y", "y x", "x x"] * 5, vocabulary="subwords"
    )
    assert len(model.predict(["日本 \x00 zz", "ab"])) == 2


FORMS = [
    {"feeding": "context", "precision": "64-true"},
    {"feeding": "output", "precision": "bf16-mixed", "scheduled_sampling": 0.5},
    {"attention": "none", "tied": False},
]


@pytest.mark.parametrize("form", FORMS, ids=str)
def test_other_forms(form, tmp_path):
    model = fitted(X[:20], Y[:20], cell="lstm", layers=6, encoder_layers=5, **form)
    model.save(tmp_path / "model.cw")
    assert cw.load(tmp_path / "model.cw").predict(X[:3]) == model.predict(X[:3])
    weights = model.translate(["one two"])[0].weights
    assert (weights is None) == ("attention" in form)


def test_the_loss_is_the_entropy_of_what_counts(good):
    pairs = good._numbered(_numbers().test.take([0, 1]))
    (batch,) = pairs.batches(2)
    network = good.network_.eval()
    loss, measured = TokenLoss(0.3)(network, batch)
    logs = network(batch.source, batch.lengths, batch.given).detach().log_softmax(-1)
    wanted = [
        float(-logs[row, step, batch.wanted[row, step]])
        for row in range(2)
        for step in range(batch.wanted.shape[1])
        if batch.counted[row, step]
    ]
    assert len(wanted) == batch.answers
    assert loss.item() == pytest.approx(sum(wanted) / len(wanted), rel=1e-5)
    assert float(measured["loss"]) == pytest.approx(sum(wanted), rel=1e-5)
    network.train()
    smoothed, measured = TokenLoss(0.3)(network, batch)
    assert smoothed.item() != pytest.approx(loss.item())
    assert "accuracy" not in measured
    network.eval()


def _numbers():
    reading = {"source": "en", "target": "fr", "test": None, "test_fraction": 0.1}
    return JOB.read(Asked("numbers", None, reading, {}))


def test_scores_are_sacrebleus():
    same = translation_scores(
        ["The cat sat on the mat.", "A dog."], ["The cat sat on the mat."] * 2
    )
    assert same["exact_match"] == 0.5
    assert 0 < same["bleu"] < 100
    whole = translation_scores(["The cat sat on the mat."], ["The cat sat on the mat."])
    assert whole["bleu"] == pytest.approx(100)
    apart = translation_scores(["le café de la côte"], ["le cafe\u0301 de la co\u0302te"])
    assert [apart[name] for name in ("bleu", "chrf", "exact_match")] == pytest.approx([100, 100, 1])
    assert whole["signature"].startswith("nrefs:1|case:mixed|eff:no|tok:13a|smooth:exp")


@pytest.mark.parametrize(
    ("arguments", "error", "words"),
    [
        ((X, Y[:-1]), ShapeError, "X has 60 texts but y has 59"),
        ((["a", " "], ["b", "c"]), DataError, r"X\[1\] is an empty text"),
        ((["a", 3], ["b", "c"]), DataError, r"X\[1\]: expected text, got int"),
        (("ab", "cd"), DataError, "X: expected a list of texts, got str"),
        ((np.array("ab"), ["cd"]), ShapeError, r"X: expected \(texts,\), got \(\)"),
        ((["ab", "c"], ["ab", "\ud800"]), DataError, r"y\[1\]: character 0 is half of"),
        (([], []), DataError, "X is empty"),
        ((["a"], ["b"]), DataError, "validation_fraction=.*the data cannot be divided"),
    ],
)
def test_bad_texts_are_refused(arguments, error, words):
    with pytest.raises(error, match=words):
        fitted(*arguments)


@pytest.mark.parametrize(
    ("validation", "error", "words"),
    [
        ((X,), ShapeError, "validation: expected two lists"),
        (X, ShapeError, "validation: expected two lists"),
        (dict(zip(X[:2], Y[:2], strict=True)), ShapeError, "validation: expected two lists"),
        (["one", "two"], DataError, r"validation\[0\]: expected a list of texts, got str"),
        ((X, Y[:-1]), ShapeError, r"validation\[0\] has 60 texts but validation\[1\] has 59"),
    ],
)
def test_bad_validation_is_refused(validation, error, words):
    with pytest.raises(error, match=words):
        cw.Translator(layers=4, epochs=1).fit(X, Y, validation=validation)


@settings(max_examples=60, derandomize=True)
@given(st.data())
def test_whatever_is_given_trains_or_is_refused_by_name(data):
    x = data.draw(texts)
    y = data.draw(spoiled([f"{text[::-1]} c" for text in x]))
    spoiled_x = spoiled(x)
    x, other = data.draw(spoiled_x), data.draw(spoiled_x)
    validation = data.draw(st.sampled_from([None, None, (x, y), (other, other), other, 7]))
    options = data.draw(
        st.sampled_from(
            [
                {"validation_fraction": 0, "vocabulary": "words", "attention": "none"},
                {"validation_fraction": 0.4, "vocabulary": "tokens", "lowercase": True},
                {"validation_fraction": 0.4, "vocabulary": "characters", "beam": 1},
                {"validation_fraction": 0, "vocabulary": "bytes", "precision": "64-true"},
            ]
        )
    )
    sizes = {"layers": [2], "embedding": 2, "batch_size": 2, "longest": 4}
    model = Translator(**sizes, epochs=1, backend="reference", **options)
    try:
        model.fit(x, y, validation=validation)
    except CellwrightError as error:
        assert str(error)  # noqa: PT017 any of ours will do
        return
    for each in (x, *data.draw(st.tuples(spoiled_x, spoiled_x, spoiled_x))):
        try:
            for found in model.translate(each):
                assert math.isfinite(found.score)
                assert found.weights is None or found.weights.isfinite().all()
            assert math.isfinite(model.score(each, data.draw(spoiled(y))))
        except CellwrightError as error:
            assert str(error)  # noqa: PT017


def test_bad_options_are_refused():
    for penalty in ("inf", "nan"):
        with pytest.raises(SettingError, match=f"length_penalty={penalty}"):
            fitted(length_penalty=float(penalty))
    with pytest.raises(SettingError, match="beam=0"):
        fitted(beam=0)
    with pytest.raises(SettingError, match="patience watches validation data"):
        fitted(patience=2, validation_fraction=0)
    with pytest.raises(SettingError, match="'dot'.*Use 'general'"):
        fitted(attention="dot", encoder_layers=[5])
    with pytest.raises(SettingError, match="needs attention"):
        fitted(attention="none", feeding="context")


def test_a_resumed_training_ends_with_the_same_weights(tmp_path):
    options = {"dropout": 0.3, "scheduled_sampling": 0.2, "validation_fraction": 0.2}
    whole = fitted(epochs=3, **options)

    def stop(history):
        if len(history) == 2:
            raise KeyboardInterrupt

    model = Translator(**{**SMALL, "epochs": 3, **options})
    place = tmp_path / "checkpoint.safetensors"
    with pytest.raises(KeyboardInterrupt):
        model.fit(X, Y, checkpoint=place, on_epoch=stop)
    model.fit(X, Y, checkpoint=place, resume=True)
    for name, weight in whole.network_.state_dict().items():
        assert torch.equal(weight, model.network_.state_dict()[name]), name


def test_a_run_folder_from_two_files(tmp_path):
    (tmp_path / "c.a").write_text("\n".join(X), encoding="utf-8")
    (tmp_path / "c.b").write_text("\n".join(Y), encoding="utf-8")
    config = jobs.configure(
        str(tmp_path / "c"), job="translate", source="a", target="b", **SMALL, epochs=2
    )
    folder = jobs.RunFolder(tmp_path / "run")
    result = jobs.run(config, folder)
    assert list(result["test"]) == ["bleu", "chrf", "exact_match", "signature", "samples"]
    assert result["test"]["samples"] == 6
    assert set(result["files"]) >= {"model.cw", "attention.png", "translations.csv"}
    table = pd.read_csv(tmp_path / "run/translations.csv", keep_default_na=False)
    model = jobs.load(tmp_path / "run")
    assert table["translation"].tolist() == model.predict(table["source"].tolist())
    samples = jobs.samples(model, tmp_path / "run", None, None)
    assert jobs.scores(model, samples)[0]["bleu"] == pytest.approx(result["test"]["bleu"])
    told = jobs.predictions(
        model, jobs.samples(model, tmp_path / "run", str(tmp_path / "c.a"), None)
    )
    assert told["prediction"].tolist() == model.predict(X)
    with pytest.raises(DataError, match="no translations to score"):
        jobs.scores(model, jobs.samples(model, tmp_path / "run", str(tmp_path / "c.a"), None))
    json.dumps(result)


@pytest.mark.slow
def test_the_default_data_are_learned():
    data = _numbers()
    model = Translator()
    model.fit(
        data.train.source,
        data.train.target,
        validation=(data.validation.source, data.validation.target),
    )
    found = translation_scores(model.predict(data.test.source), data.test.target)
    assert found["exact_match"] > 0.97
