"""Labelling steps: what is learned, told, streamed, kept, resumed, and refused."""

import gzip
import json
import math
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from spoiled_samples import sequences, spoiled, spoken

import cellwright as cw
from cellwright.cli.app import app
from cellwright.data import Batch
from cellwright.errors import CellwrightError, DataError, ModelFileError, SettingError, ShapeError
from cellwright.jobs import configure, load, model_file
from cellwright.jobs.label.columns import AnswerColumn, AnswerColumns, StepLoss
from cellwright.jobs.registry import job_of
from cellwright.jobs.training.reporting import Reporter

ROOT = os.environ.get("CELLWRIGHT_SHARED_DATA")
BESIDE = Path(__file__).parents[2] / "../shared/data"
SHARED = Path(ROOT) if ROOT else BESIDE

TINY = {"layers": [8], "learning_rate": 0.03, "dropout": 0.0, "batch_size": 16}


@pytest.fixture(scope="module")
def bits():
    """Ragged bits, and whether the ones so far are odd in number."""
    rng = np.random.default_rng(0)
    x = [rng.integers(2, size=rng.integers(2, 8)) for _ in range(96)]
    return x, [np.where(np.cumsum(each) % 2, "odd", "even") for each in x]


@pytest.fixture(scope="module")
def parity(bits):
    model = cw.SequenceLabeler(**TINY, epochs=20, bidirectional=False)
    return model.fit(*bits)


@pytest.fixture(scope="module")
def sentences():
    """A word is a noun or a verb by its ending, but only its place tells for the rest."""
    rng = np.random.default_rng(0)
    x, y = [], []
    for _ in range(60):
        words, tags = [], []
        for _ in range(rng.integers(2, 6)):
            stem = "".join(rng.choice(list("bcdfg"), size=3))
            noun = rng.random() < 0.5
            words.append(stem + ("ia" if noun else "et"))
            tags.append("NOUN" if noun else "VERB")
        x.append(words)
        y.append(tags)
    return x, y


def test_parity_is_learned(bits, parity):
    assert parity.score(*bits) == 1.0
    assert parity.classes_.tolist() == ["even", "odd"]
    assert parity.n_features_in_ == 1
    assert parity.history_[-1]["validation_accuracy"] == 1.0


def test_answers_have_the_steps_of_their_sequence(bits, parity):
    found, chances = parity.predict(bits[0]), parity.predict_proba(bits[0])
    for sequence, labels, chance in zip(bits[0], found, chances, strict=True):
        assert labels.shape == (len(sequence),)
        assert chance.shape == (len(sequence), 2)
        np.testing.assert_allclose(chance.sum(1), 1)
        assert np.array_equal(parity.classes_[chance.argmax(1)], labels)


def test_a_sequence_is_answered_the_same_alone(bits, parity):
    together = parity.predict_proba(bits[0])
    for number in (0, 5, 17):
        (alone,) = parity.predict_proba([bits[0][number]])
        np.testing.assert_allclose(together[number], alone, atol=1e-6)


def test_a_stream_says_what_predict_says(bits, parity):
    stream = parity.stream()
    for sequence in bits[0][:6]:
        (chances,) = parity.predict_proba([sequence])
        for step, bit in enumerate(sequence):
            assert stream.step(bit) == parity.classes_[chances[step].argmax()]
            np.testing.assert_allclose(stream.probabilities, chances[step], atol=1e-6)
        assert stream.finish() == []


def test_a_stream_refuses_what_does_not_fit(parity):
    stream = parity.stream()
    stream.step(1)
    with pytest.raises(ShapeError, match=r"step 1: expected \(features=1,\), got \(2,\)"):
        stream.step([1, 2])
    with pytest.raises(DataError, match="step 1: expected finite numbers"):
        stream.step(np.nan)


def test_a_delay_lets_it_see_what_comes(bits):
    x = bits[0]
    y = [np.append(each[1:], 0) for each in x]  # the bit that comes next
    now = cw.SequenceLabeler(**TINY, epochs=8, bidirectional=False).fit(x, y)
    later = cw.SequenceLabeler(**TINY, epochs=8, bidirectional=False, delay=1).fit(x, y)
    assert later.score(x, y) == 1.0
    assert now.score(x, y) < 0.9
    stream = later.stream()
    answers = [stream.step(bit) for bit in [1, 0, 1]]
    assert answers[0] is None
    assert [*answers[1:], *stream.finish()] == [0, 1, 0]
    assert later.predict([[1, 0, 1]])[0].tolist() == [0, 1, 0]


def test_several_labels_at_a_step_are_learned_side_by_side(bits, tmp_path):
    x = bits[0]
    y = [np.stack([np.where(e, "one", "zero"), t], 1) for e, t in zip(x, bits[1], strict=True)]
    model = cw.SequenceLabeler(**TINY, epochs=24).fit(x, y)
    assert model.score(x, y) > 0.95
    assert [classes.tolist() for classes in model.classes_] == [["one", "zero"], ["even", "odd"]]
    found = model.predict(x[:2])
    assert [each.shape for each in found] == [(len(x[0]), 2), (len(x[1]), 2)]
    first, second = model.predict_proba(x[:1])[0]
    assert first.shape == second.shape == (len(x[0]), 2)
    model.save(tmp_path / "model.cw")
    again = load(tmp_path / "model.cw")
    assert all(
        np.array_equal(a, b) for a, b in zip(again.predict(x), model.predict(x), strict=True)
    )


def test_numbers_are_learned_in_their_own_unit(bits, tmp_path):
    x = bits[0]
    y = [1000.0 + 50 * np.cumsum(each) for each in x]
    model = cw.SequenceLabeler(**TINY, epochs=14, target="number").fit(x, y)
    assert model.score(x, y) > 0.95
    assert abs(np.concatenate(model.predict(x)).mean() - np.concatenate(y).mean()) < 10
    assert not hasattr(model, "classes_")
    with pytest.raises(SettingError, match="numbers have no probabilities"):
        model.predict_proba(x)
    model.save(tmp_path / "model.cw")
    again = load(tmp_path / "model.cw")
    np.testing.assert_array_equal(
        np.concatenate(again.predict(x)), np.concatenate(model.predict(x))
    )


def test_steps_that_are_not_known_are_neither_learned_nor_scored(bits, parity):
    x, y = bits
    wrong = [np.where(each == "odd", "even", "odd") for each in y]
    gaps = [[None if n % 2 else label for n, label in enumerate(each)] for each in y]
    lies = [
        [label if n % 2 == 0 else other for n, (label, other) in enumerate(zip(a, b, strict=True))]
        for a, b in zip(y, wrong, strict=True)
    ]
    assert parity.score(x, gaps) == 1.0
    assert parity.score(x, lies) < 0.8


def test_the_loss_is_the_mean_over_the_answers_that_count():
    torch.manual_seed(0)
    texts = model_file.Labels.of(np.array(["a", "b", "c"]))
    columns = AnswerColumns([AnswerColumn(labels=texts), AnswerColumn(labels=texts)], single=False)
    scores = torch.randn(2, 4, 6)
    targets, counted = torch.randint(3, (2, 4, 2)), torch.rand(2, 4, 2) < 0.5
    x, lengths = torch.zeros(2, 4, 1), torch.tensor([4, 4])
    batch = Batch(x, lengths, np.arange(2), targets, counted)
    loss, sums = StepLoss(columns, 0.0)(lambda *_: scores, batch)
    each = torch.nn.functional.cross_entropy(
        scores.reshape(2, 4, 2, 3)[counted], targets[counted], reduction="none"
    )
    assert torch.allclose(loss, each.mean())
    assert torch.allclose(sums["loss"] / batch.answers, each.mean())
    right = (scores.reshape(2, 4, 2, 3).argmax(-1) == targets)[counted]
    assert sums["accuracy"] == right.sum()
    other = replace(batch, targets=torch.where(counted, targets, 2 - targets))
    assert StepLoss(columns, 0.0)(lambda *_: scores, other)[0] == loss


def test_words_are_told_by_their_letters(sentences, tmp_path):
    x, y = sentences
    options = TINY | {"spelling": 6, "embedding": 4, "character_embedding": 4, "word_dropout": 0.5}
    model = cw.SequenceLabeler(**options, epochs=12).fit(x, y)
    new = [["xxxia", "yyyet"], ["zzzet"]]
    assert [each.tolist() for each in model.predict(new)] == [["NOUN", "VERB"], ["VERB"]]
    assert model.score(x, y) > 0.98
    model.save(tmp_path / "model.cw")
    again = load(tmp_path / "model.cw")
    for found, wanted in zip(again.predict_proba(new), model.predict_proba(new), strict=True):
        np.testing.assert_array_equal(found, wanted)
    with pytest.raises(SettingError, match="a network that reads words has no stream"):
        model.stream()
    with pytest.raises(DataError, match="trained on sequences of words"):
        model.predict([np.zeros(3)])


@pytest.mark.parametrize("bidirectional", [False, True])
def test_long_sequences_are_cut_into_pieces(bits, bidirectional):
    x, y = [np.concatenate(bits[0])], [np.concatenate(bits[1])]
    model = cw.SequenceLabeler(**TINY, epochs=1, window=10, bidirectional=bidirectional).fit(x, y)
    learned = len(x[0]) - math.ceil(0.1 * len(x[0]))
    assert model.history_[0]["samples"] == math.ceil(learned / 10)
    (whole,) = model.predict_proba(x)
    pieces = np.array_split(x[0], math.ceil(len(x[0]) / 10))
    same = np.allclose(whole, np.concatenate(model.predict_proba(pieces)), atol=1e-6)
    assert same == bidirectional  # else it goes on from piece to piece


@pytest.mark.parametrize("delay", [0, 2])
def test_a_stream_says_what_predict_says_of_a_network_that_learned_from_pieces(bits, delay):
    x, y = [np.concatenate(bits[0])], [np.concatenate(bits[1])]
    options = {"epochs": 2, "window": 5, "bidirectional": False, "delay": delay}
    model = cw.SequenceLabeler(**TINY, **options).fit(x, y)
    stream = model.stream()
    found = [answer for bit in x[0] if (answer := stream.step(bit)) is not None]
    assert found + stream.finish() == model.predict(x)[0].tolist()


def test_pieces_of_one_sequence_are_not_both_learned_and_watched():
    x = [np.full(12, float(number)) for number in range(10)]
    y = [np.arange(12) % 2 for _ in x]
    model = cw.SequenceLabeler(**TINY, epochs=1, window=4, validation_fraction=0.3).fit(x, y)
    assert model.history_[0]["samples"] == 7 * 3
    # The mean of whole sequences is a whole number times a seventh.
    assert float(model.network_.shift * 7) == pytest.approx(round(float(model.network_.shift * 7)))


def test_of_a_single_sequence_the_end_is_watched():
    x, y = [np.append(np.zeros(80), np.ones(20))], [np.arange(100) % 2]
    model = cw.SequenceLabeler(**TINY, epochs=1, window=10, validation_fraction=0.2).fit(x, y)
    assert model.history_[0]["samples"] == 8
    assert (float(model.network_.shift), float(model.network_.spread)) == (0, 1)
    words = [[f"w{number}" for number in range(10)]]
    tagger = cw.SequenceLabeler(**TINY, epochs=1, least=1, validation_fraction=0.3)
    assert sorted(tagger.fit(words, [[0, 1] * 5]).facts_.words) == words[0][:7]


def test_words_and_scales_are_learned_from_the_training_part_alone():
    words = [[f"w{number}", "both"] for number in range(20)]
    tagger = cw.SequenceLabeler(**TINY, epochs=1, least=1, validation_fraction=0.5)
    tagger.fit(words, [["a", "b"]] * 20)
    assert len([word for word in tagger.facts_.words if word != "both"]) == 10
    numbers = [[1000.0 * number, 1000.0 * number + 1] for number in range(20)]
    model = cw.SequenceLabeler(**TINY, epochs=1, target="number", validation_fraction=0.5)
    model.fit(numbers, numbers)
    assert model.facts_.columns[0].mean == pytest.approx(float(model.network_.shift))
    assert model.facts_.columns[0].mean != pytest.approx(np.mean(numbers))


@pytest.mark.parametrize("scale", [1e-13, 1.0, 1e13])
def test_numbers_of_any_unit_are_scaled(scale):
    x = np.random.default_rng(0).normal(size=(40, 5, 1))
    model = cw.SequenceLabeler(**TINY, epochs=10, target="number")
    assert model.fit(x, x[:, :, 0] * scale).score(x, x[:, :, 0] * scale) > 0.9


@pytest.mark.parametrize(
    ("y", "options", "said"),
    [
        ([[5.0, 5.0]] * 20, {}, "y is 5 wherever it is learned from; there is nothing to learn"),
        ([[[1.0, 5.0], [2.0, 5.0]]] * 20, {}, "column 1 of y is 5 wherever"),
        ([[0.0, 1e308]] * 20, {}, "y is too large to be scaled"),
        (
            [[0.0, 1.0]] * 19 + [[0.0, None]],
            {"validation": 1e60},
            r"validation y\[0\] at step 1 is 1e\+60",
        ),
    ],
)
def test_numbers_that_cannot_be_learned_are_refused(y, options, said):
    x = np.arange(40.0).reshape(20, 2)
    watched = {k: (x[:1], [[0.0, value]]) for k, value in options.items()}
    with pytest.raises(DataError, match=said):
        cw.SequenceLabeler(**TINY, target="number").fit(x, y, **watched)


def test_a_part_without_an_answer_is_refused():
    x = np.arange(40.0).reshape(20, 2)
    y = [["a", "b"]] + [[None, None]] * 19
    for fraction, said in ((0.5, "no answer"), (0.1, "no answer")):
        with pytest.raises(DataError, match=said):
            cw.SequenceLabeler(**TINY, validation_fraction=fraction).fit(x, y)
    cw.SequenceLabeler(**TINY, epochs=1, validation_fraction=0).fit(x, y)
    model = cw.SequenceLabeler(**TINY, epochs=1, target="number").fit(x, x)
    with pytest.raises(DataError, match="wants two samples, or steps"):
        model.score(x[:1], [[1.0, None]])


def test_films_are_learned_told_streamed_and_kept(tmp_path):
    draw = np.random.default_rng(0)
    y = [draw.integers(2, size=draw.integers(3, 6)) for _ in range(40)]
    films = [draw.normal(size=(len(each), 4, 6)) / 4 for each in y]
    for film, bars in zip(films, y, strict=True):  # a bar that lies, or one that stands
        film[bars == 0, 1] += 2
        film[bars == 1, :, draw.integers(6)] += 2
    x = [film.reshape(len(film), 24) for film in films]
    options = TINY | {"picture_size": (4, 6), "picture_filters": (4, 8), "bidirectional": False}
    model = cw.SequenceLabeler(**options, epochs=10).fit(x, y)
    assert model.score(x, y) > 0.95
    stream = model.stream()
    assert [int(stream.step(picture)) for picture in x[0]] == model.predict(x[:1])[0].tolist()
    model.save(tmp_path / "model.cw")
    for found, wanted in zip(load(tmp_path / "model.cw").predict(x), model.predict(x), strict=True):
        np.testing.assert_array_equal(found, wanted)


def test_what_is_watched_can_be_given(bits):
    x, y = bits
    model = cw.SequenceLabeler(**TINY, epochs=1, bidirectional=False)
    model.fit(x, y, validation=(x[:7], y[:7]))
    assert model.history_[0]["samples"] == len(x)
    wanted = model.score(x[:7], y[:7])
    assert model.history_[0]["validation_accuracy"] == pytest.approx(wanted)


def test_the_callers_random_numbers_are_left_alone_and_seeds_tell(bits):
    x, y = bits
    torch.manual_seed(5)
    wanted = torch.rand(1)
    torch.manual_seed(5)
    first = cw.SequenceLabeler(**TINY, epochs=1).fit(x, y).history_[0]["train_loss"]
    assert torch.equal(torch.rand(1), wanted)
    assert cw.SequenceLabeler(**TINY, epochs=1).fit(x, y).history_[0]["train_loss"] == first
    other = cw.SequenceLabeler(**TINY, epochs=1, random_state=1).fit(x, y)
    assert other.history_[0]["train_loss"] != first


class _Stop(Reporter):
    def epoch_finished(self, row):
        if row["epoch"] == 2:
            raise KeyboardInterrupt


@pytest.mark.parametrize("words", [False, True])
def test_a_resumed_training_ends_with_the_same_weights(bits, sentences, words, tmp_path):
    x, y = sentences if words else bits
    options = TINY | {"dropout": 0.3, "epochs": 4, "spelling": 4, "embedding": 4}
    straight = cw.SequenceLabeler(**options).fit(x, y)
    checkpoint = tmp_path / "checkpoint.safetensors"
    model = cw.SequenceLabeler(**options)
    with pytest.raises(KeyboardInterrupt):
        model.fit(x, y, checkpoint=checkpoint, reporter=_Stop())
    model.fit(x, y, checkpoint=checkpoint, resume=True)
    wanted = straight.network_.state_dict()
    for name, tensor in model.network_.state_dict().items():
        assert torch.equal(tensor, wanted[name]), name


@pytest.mark.parametrize(
    ("x", "y", "options", "error", "said"),
    [
        ([[1, 2], [1]], [[0, 1]], {}, ShapeError, "X has 2 samples but y has answers for 1"),
        ([[1, 2], [1]], [[0, 1], [1, 0]], {}, ShapeError, r"X\[1\] has 1 steps but y\[1\] has 2"),
        ([[1, 2], [1]], [[0, 0], [0]], {}, DataError, r"y has one label only \(0\)"),
        ([[1, np.nan, 2], [1]], [[0, 1, 0], [0]], {}, DataError, r"X\[0\] is NaN at step 1"),
        ([[1, 2], [1]], [[0.5, 1], [0]], {}, DataError, "target='number'"),
        ([["a", ""], ["b"]], [[0, 1], [0]], {}, DataError, r"X\[0\]: the word at step 1 is empty"),
        ([[1, 2], [1]], [[0, 1], [0]], {"delay": 1}, SettingError, "not both"),
        ([[1, 2], [1]], [[0, 1], [0]], {"delay": -1}, SettingError, "delay=-1"),
        ([[1, 2], [1]], [[0, 1], [0]], {"window": 1}, SettingError, "window=1"),
        ([[1, 2], [1]], [[0, 1], [0]], {"target": "text"}, SettingError, "target='text'"),
        ([], [], {}, DataError, "X is empty"),
    ],
)
def test_bad_input_is_refused_before_training(x, y, options, error, said):
    started = []
    with pytest.raises(error, match=said):
        cw.SequenceLabeler(**options).fit(x, y, on_start=lambda: started.append(1))
    assert not started


def test_a_label_never_seen_is_refused_by_sample_and_step(bits, parity):
    y = [each.astype(object) for each in bits[1]]
    y[3][1] = "neither"
    with pytest.raises(DataError, match=r"y\[3\] at step 1 is 'neither', a label never seen"):
        parity.score(bits[0], y)
    with pytest.raises(DataError, match=r"y\[3\] at step 1 is 'neither', a label never seen"):
        cw.SequenceLabeler(**TINY).fit(*bits, validation=(bits[0], y))


def test_another_number_of_features_is_refused(parity):
    with pytest.raises(ShapeError, match="features=1"):
        parity.predict([np.zeros((3, 2))])
    with pytest.raises(DataError, match="trained on sequences of numbers"):
        parity.predict([["a", "b"]])


@pytest.mark.parametrize(
    "change",
    [
        {"features": 3},
        {"single": False, "features": 2**20},
        {"words": ["a"]},
        {"columns": []},
        {"columns": [{}]},
        {"feature_names": ["a", "b"]},
    ],
)
def test_a_file_that_contradicts_itself_is_refused(parity, tmp_path, change):
    parity.save(tmp_path / "model.cw")
    description, tensors = model_file.read(tmp_path / "model.cw")
    changed = description.model_copy(update={"facts": description.facts | change})
    cw.jobs.training.tensor_file.write_tensors(tmp_path / "odd.cw", tensors, changed.model_dump())
    with pytest.raises(ModelFileError, match="contradicts itself"):
        load(tmp_path / "odd.cw")


@settings(max_examples=50, derandomize=True)
@given(st.data())
def test_whatever_is_given_trains_or_is_refused_by_name(data):
    x = data.draw(sequences() | spoken)
    options = data.draw(
        st.sampled_from(
            [
                {"validation_fraction": 0},
                {"validation_fraction": 0.4, "window": 2, "bidirectional": False},
                {"validation_fraction": 0.4, "target": "number", "scaling": "none"},
                {"validation_fraction": 0, "target": "number", "precision": "64-true"},
            ]
        )
    )
    several = data.draw(st.booleans())
    y = [[[t % 2, (n + t) % 2] if several else (n + t) % 2 for t, _ in enumerate(each)]
         for n, each in enumerate(x)]  # fmt: skip
    y = data.draw(spoiled(y))
    x, other = data.draw(spoiled(x)), data.draw(spoiled(x))
    sizes = {"layers": [2], "embedding": 2, "spelling": 2, "character_embedding": 2}
    model = cw.SequenceLabeler(**sizes, epochs=1, least=1, backend="reference", **options)
    try:
        model.fit(x, y)
    except CellwrightError as error:
        assert str(error)  # noqa: PT017 any of ours will do
        return
    numbers = options.get("target") == "number"
    ask_all = model.predict if numbers else model.predict_proba
    for given_x in (x, other):
        for ask in (ask_all, lambda each: [model.score(each, data.draw(spoiled(y)))]):
            try:
                found = [
                    part
                    for each in ask(given_x)
                    for part in (each if isinstance(each, list) else [each])
                ]
                assert all(np.isfinite(part).all() for part in found)
            except CellwrightError as error:
                assert str(error)  # noqa: PT017


TABLE = "id,step,x,label\n" + "".join(
    f"{s},{t},{(s * 7 + t * 3) % 5},{'high' if (s * 7 + t * 3) % 5 > 2 else 'low'}\n"
    for s in range(30)
    for t in range(4)
)


def command(capsys, *words):
    """What a command of cellwright prints."""
    app(list(words), standalone_mode=False)
    return capsys.readouterr().out


def test_the_command_line_learns_predicts_and_scores_a_table(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    Path("speeds.csv.gz").write_bytes(gzip.compress(TABLE.encode()))
    options = ["--layers", "8", "--epochs", "12", "--learning-rate", "0.05", "--quiet"]
    command(capsys, "fit", "label", "--data", "speeds.csv.gz", "--out", "r", *options)
    result = json.loads(Path("r/result.json").read_text())
    assert result["test"]["accuracy"] == 1.0
    assert result["test"]["steps"] == 24
    for name in ("confusion_matrix.png", "answers.png", "report.txt", "model.cw"):
        assert Path("r", name).stat().st_size > 100
    Path("new.csv").write_text(TABLE.replace(",label", "").replace(",high", "").replace(",low", ""))
    printed = command(capsys, "predict", "r", "--data", "new.csv", "--probabilities")
    Path("out.csv").write_text(printed)
    table = pd.read_csv("out.csv")
    names = ["id", "step", "prediction", "probability_high", "probability_low"]
    assert list(table) == names
    wanted = [line.split(",")[3] for line in TABLE.splitlines()[1:]]
    assert table["prediction"].tolist() == wanted
    assert "accuracy 1.0000 on 24 steps" in command(capsys, "score", "r")


def test_the_command_line_learns_a_treebank(sentences, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    parts = {"train": slice(0, 40), "dev": slice(40, 50), "test": slice(50, 60)}
    Path("bank").mkdir()
    for part, rows in parts.items():
        lines = []
        for words, tags in zip(sentences[0][rows], sentences[1][rows], strict=True):
            for number, (word, tag) in enumerate(zip(words, tags, strict=True), 1):
                lines.append(f"{number}\t{word}\t_\t{tag}\t_\t_\t_\t_\t_\t_")
            lines.append("")
        text = "\n".join(lines) + "\n"
        Path(f"bank/xx-ud-{part}.conllu").write_text(text, encoding="utf-8")
    options = ["--layers", "6", "--embedding", "4", "--spelling", "6", "--epochs", "8", "--quiet"]
    options += ["--learning-rate", "0.03"]
    command(capsys, "fit", "label", "--data", "bank", "--out", "r", *options)
    result = json.loads(Path("r/result.json").read_text())
    steps = sum(len(words) for words in sentences[0][50:])
    assert result["test"]["steps"] == steps
    assert result["test"]["accuracy"] > 0.9
    printed = command(capsys, "predict", "r")
    assert printed.splitlines()[0] == "id,step,word,prediction"
    assert len(printed.splitlines()) == steps + 1


def test_files_of_tests_are_scored_one_by_one(tmp_path):
    log = "date,x,busy\n" + "".join(
        f"2024-01-01 00:{t:02d}:00,{t % 3},{int(t % 3 > 1)}\n" for t in range(40)
    )
    for name in ("learn", "one", "two"):
        (tmp_path / f"{name}.txt").write_text(log)
    config = configure(
        str(tmp_path / "learn.txt"),
        job="label",
        labels="busy",
        test=["one.txt", "two.txt"],
        window=5,
        layers=[4],
        epochs=40,
        learning_rate=0.05,
    )
    job, data = job_of("label"), config.read_data()
    model = job.estimator(**config.estimator_options)
    job.fit(model, data, {})
    measures = job.finish(model, data, tmp_path)
    assert measures == {"accuracy": 1.0, "steps": 80, "accuracy_one": 1.0, "accuracy_two": 1.0}


def test_a_file_without_answers_is_not_scored_by_itself(tmp_path):
    rows = [f"0,{t},{t % 3},{{}},{'ab'[t % 2]}\n" for t in range(12)]
    head = "id,step,x,level,side\n"
    for name, label in (("learn", "high"), ("known", "high"), ("half", ""), ("blank", "")):
        lines = [row.format(label if t % 2 else label and "low") for t, row in enumerate(rows)]
        lines = [line[:-2] + "\n" if name == "blank" else line for line in lines]
        (tmp_path / f"{name}.csv").write_text(head + "".join(lines))
    config = configure(
        str(tmp_path / "learn.csv"),
        job="label",
        labels=["level", "side"],
        test=["known.csv", "half.csv", "blank.csv"],
        validation_fraction=0,
        layers=[4],
        epochs=1,
    )
    job, data = job_of("label"), config.read_data()
    model = job.estimator(**config.estimator_options)
    job.fit(model, data, {})
    measures = job.finish(model, data, tmp_path)
    known, half = (data.test.take(np.array([row])) for row in (0, 1))
    assert measures["accuracy_known"] == pytest.approx(model.score(known.x, known.y))
    told = np.concatenate(model.predict(half.x))[:, 1]
    assert measures["accuracy_half"] == pytest.approx(np.mean(told == half.y[0][:, 1]))
    assert measures["steps"] == 36
    assert "accuracy_blank" not in measures


@pytest.mark.parametrize(("tested", "said"), [("12", "x"), ("12x", None)])
def test_labels_of_two_files_are_held_together_as_texts(tmp_path, tested, said):
    for name, labels in (("learn", "12x"), ("test", tested)):
        rows = [f"0,{t},{t},{labels[t % len(labels)]}\n" for t in range(12)]
        (tmp_path / f"{name}.csv").write_text("id,step,v,label\n" + "".join(rows))
    config = configure(str(tmp_path / "learn.csv"), job="label", test="test.csv")
    expected = [f"the test part has no step with the label {said}; it says nothing of it"]
    assert job_of("label").remarks(config.read_data()) == (expected if said else [])


def test_numbers_are_not_remarked_on_as_labels(tmp_path):
    for name, step in (("learn", 1), ("test", 2)):
        rows = [f"0,{t},{t},{t * step}\n" for t in range(12)]
        (tmp_path / f"{name}.csv").write_text("id,step,v,label\n" + "".join(rows))
    source = str(tmp_path / "learn.csv")
    config = configure(source, job="label", test="test.csv", target="number")
    assert job_of("label").remarks(config.read_data()) == []


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("other.csv", "id,step,x,label\n0,0,1,low\n", "test part: .*missing: v; unknown: x"),
        ("words.conllu", "1\tlow\t_\tlow\t_\t_\t0\t_\t_\t_\n\n", "not of one kind"),
    ],
)
def test_a_test_part_of_other_features_is_found_before_the_training(tmp_path, name, content, said):
    rows = [f"0,{t},{t},{'low' if t % 2 else 'high'}\n" for t in range(12)]
    (tmp_path / "learn.csv").write_text("id,step,v,label\n" + "".join(rows))
    (tmp_path / name).write_text(content)
    config = configure(str(tmp_path / "learn.csv"), job="label", test=name)
    with pytest.raises(DataError, match=said):
        config.read_data()


def test_a_label_that_only_the_test_has_is_found_before_the_training(tmp_path):
    (tmp_path / "learn.csv").write_text(TABLE)
    (tmp_path / "test.csv").write_text(TABLE.replace("0,2,1,low", "0,2,1,odd"))
    config = configure(str(tmp_path / "learn.csv"), job="label", test="test.csv")
    with pytest.raises(DataError, match=r"test part: y\[0\] at step 2 is 'odd', a label never"):
        config.read_data()


def test_the_clips_of_the_default_are_read_and_learned(tmp_path):
    config = configure(job="label", clips=20, epochs=1, layers=[4])
    job, data = job_of("label"), config.read_data()
    assert job.facts(data) == {"train": 20, "test": 5, "steps": 400, "features": 64}
    model = job.estimator(**config.estimator_options)
    job.fit(model, data, {})
    assert set(job.finish(model, data, tmp_path)) == {"accuracy", "steps"}


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("clip", "there is no data set 'clip'. Did you mean 'clips'"),
        ("none.csv", "there is no file"),
        ("some.conll", "there is no data set"),
    ],
)
def test_unknown_data_are_refused(source, said):
    with pytest.raises(DataError, match=said):
        configure(source, job="label").read_data()


def test_a_log_of_one_series_wants_files_of_tests(tmp_path):
    (tmp_path / "log.csv").write_text("date,x,label\n2024-01-01,1,a\n2024-01-02,2,b\n")
    with pytest.raises(DataError, match="holds one sequence only"):
        configure(str(tmp_path / "log.csv"), job="label").read_data()


@pytest.mark.slow
@pytest.mark.skipif(not SHARED.is_dir(), reason="the data do not lie beside the project")
def test_a_small_tagger_learns_the_english_web_treebank():
    folder = SHARED / "ud-english-ewt"
    config = configure(str(folder), job="label", epochs=2, layers=[32], spelling=16, embedding=32)
    job, data = job_of("label"), config.read_data()
    few = data.train.take(np.arange(3000))
    model = job.estimator(**config.estimator_options).fit(few.x, few.y)
    assert model.score(data.test.x, data.test.y) > 0.75


def test_the_picture_shows_sequences_that_have_labels(tmp_path):
    (tmp_path / "learn.csv").write_text(TABLE)
    rows = [f"{n},{t},{t},{'low' if (n, t) == (5, 2) else ''}" for n in range(6) for t in range(3)]
    (tmp_path / "test.csv").write_text("\n".join([TABLE.splitlines()[0], *rows]) + "\n")
    config = configure(str(tmp_path / "learn.csv"), job="label", test="test.csv", epochs=1)
    job, data = job_of("label"), config.read_data()
    model = job.estimator(**config.estimator_options)
    job.fit(model, data, {})
    assert job.finish(model, data, tmp_path)["steps"] == 1
    assert (tmp_path / "answers.png").stat().st_size > 1000
