"""`LanguageModel`: learning from text, scoring it, writing more of it, files, runs, resuming."""

import itertools
import json
import math

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file
from scipy.special import log_softmax
from spoiled_samples import spoiled, texts

import cellwright as cw
from cellwright.errors import CellwrightError, DataError, ModelFileError, SettingError, ShapeError
from cellwright.jobs import Reporter, RunFolder, configure, run
from cellwright.jobs.language.estimator import _divided
from cellwright.jobs.language.tokens import tokens_of
from cellwright.jobs.language.writing import Sampling, likeliest

TEXT = "the cat sat on the mat. the dog ran to the man. " * 12
SMALL = {"layers": [12], "batch_size": 4, "steps": 16, "epochs": 2, "dropout": 0.0}


@pytest.fixture(scope="module")
def model():
    """Knows two sentences almost by heart."""
    return cw.LanguageModel(**{**SMALL, "layers": [24], "epochs": 50, "learning_rate": 0.03}).fit(
        TEXT
    )


@pytest.fixture(scope="module")
def several():
    """Knows where a text begins and ends."""
    options = {**SMALL, "epochs": 45, "learning_rate": 0.03, "validation_fraction": 0}
    return cw.LanguageModel(**options).fit(["one two.", "three four five."] * 20)


def by_hand(model, text):
    """Nats of a text, one token after the other, in one go."""
    tokens = torch.from_numpy(tokens_of(model.vocabulary_, text).astype(np.int64))[None]
    network = model.network_
    with torch.no_grad():
        chances = network.scores(network(tokens[:, :-1])[0]).log_softmax(-1)
    return -float(chances.gather(-1, tokens[:, 1:, None]).sum())


class TestLearning:
    def test_it_learns(self, model):
        losses = [row["train_loss"] for row in model.history_]
        assert losses[0] > 2
        assert losses[-1] < 0.25
        assert model.history_[-1]["validation_loss"] < 0.5

    def test_states_go_from_window_to_window_and_start_anew_with_an_epoch(self, monkeypatch):
        seen = []
        forward = cw.models.language.LanguageNetwork.forward

        def watched(self, tokens, state=None):
            output, after = forward(self, tokens, state)
            if self.training:
                seen.append((state, after))
            return output, after

        monkeypatch.setattr(cw.models.language.LanguageNetwork, "forward", watched)
        cw.LanguageModel(**{**SMALL, "validation_fraction": 0}).fit(TEXT)
        epochs = len(seen) // 2
        for number, (before, _) in enumerate(seen):
            if number % epochs == 0:
                assert before is None
            else:
                last = seen[number - 1][1]
                assert torch.equal(before[0]["h"], last[0]["h"])
                assert last[0]["h"].requires_grad
                assert not before[0]["h"].requires_grad

    def test_a_seed_gives_the_same_weights(self):
        options = {**SMALL, "dropout": 0.3, "weight_drop": 0.2, "input_dropout": 0.1}
        first, second = (cw.LanguageModel(**options).fit(TEXT).network_ for _ in range(2))
        other = cw.LanguageModel(**options, random_state=1).fit(TEXT).network_
        for name, weight in first.named_parameters():
            assert torch.equal(weight, second.get_parameter(name))
        assert not torch.equal(first.embedding.weight, other.embedding.weight)

    @pytest.mark.parametrize(
        "options",
        [
            {"vocabulary": "bytes"},
            {"vocabulary": "subwords", "vocabulary_size": 280},
            {"vocabulary": "words", "tied": False, "adaptive_softmax": [6]},
            {"vocabulary": "tokens", "least": 2, "lowercase": True},
            {"cell": "gru", "layers": [8, 8], "connections": "residual", "embedding": 5},
            {"patience": 1, "learning_rate": 0.5, "epochs": 9, "learn_initial_state": True},
        ],
        ids=lambda options: "-".join(map(str, options)),
    )
    def test_every_kind_is_stored_and_read_back(self, options, tmp_path):
        made = cw.LanguageModel(**{**SMALL, **options}).fit(TEXT)
        made.save(tmp_path / "model.cw")
        again = cw.load(tmp_path / "model.cw")
        assert again.vocabulary_ == made.vocabulary_
        assert again.score("the man sat") == made.score("the man sat")
        assert again.generate("the", 20, random_state=3) == made.generate("the", 20, random_state=3)
        assert made.nats("the man sat")[0][0] == pytest.approx(by_hand(made, "the man sat"), 1e-4)

    @pytest.mark.parametrize("precision", ["64-true", "bf16-mixed"])
    @pytest.mark.parametrize(
        "readout", [{"embedding": 5}, {"tied": False}, {"tied": False, "adaptive_softmax": [8]}]
    )
    def test_in_every_precision(self, precision, readout):
        made = cw.LanguageModel(**{**SMALL, **readout}, precision=precision).fit(TEXT)
        assert made.history_[-1]["train_loss"] < made.history_[0]["train_loss"]
        assert math.isfinite(made.score("the man sat"))
        assert len(made.generate("the", 5)) == 5

    def test_other_text_can_be_watched(self):
        made = cw.LanguageModel(**SMALL).fit(TEXT, validation=["zzz the", "cat"])
        near = cw.LanguageModel(**SMALL).fit(TEXT, validation=TEXT)
        assert made.history_[-1]["validation_loss"] > near.history_[-1]["validation_loss"]

    def test_what_is_watched_teaches_no_token(self):
        text = "abc " * 30 + "xyz"
        made = cw.LanguageModel(**SMALL).fit(text)
        assert made.vocabulary_.number("x") == made.vocabulary_.unknown
        assert math.isfinite(made.history_[-1]["validation_loss"])
        whole = cw.LanguageModel(**SMALL, validation_fraction=0).fit(text)
        assert whole.vocabulary_.number("x") != whole.vocabulary_.unknown
        with pytest.raises(DataError, match="no token in it that could be watched"):
            cw.LanguageModel(**SMALL, vocabulary="words").fit(text, validation="  ")

    @pytest.mark.parametrize("fraction", [0.1, 0.25, 0.5, 0.9])
    def test_words_are_not_cut_where_the_text_is_divided(self, fraction):
        texts = ["the cat sat on a mat", "a dog", "ran to the man"] * 3
        made = cw.LanguageModel(**SMALL, vocabulary="words", validation_fraction=fraction)
        learned, watched = _divided(texts, made.options())
        together = "".join(learned), "".join(watched)
        assert "".join(together) == "".join(texts)
        known = {word for text in texts for word in text.split()}
        assert {word for text in [*learned, *watched] for word in text.split()} <= known
        assert fraction - 0.2 < len(together[1]) / len("".join(texts)) <= fraction

    def test_a_part_of_a_single_text_knows_no_ends(self):
        made = cw.LanguageModel(**SMALL, validation_fraction=0.5).fit(["ab" * 40, "ba" * 40])
        assert not made.facts_.several


class TestScores:
    def test_score_is_minus_the_mean_nats(self, model):
        text = "the man ran to the mat."
        assert model.score(text) == pytest.approx(-by_hand(model, text) / len(text), rel=1e-4)
        assert model.perplexity(text) == pytest.approx(math.exp(-model.score(text)))
        bits = model.bits_per_character(text)
        assert bits == pytest.approx(-model.score(text) / math.log(2))

    def test_texts_of_any_length_are_scored_each_from_its_start(self, model, monkeypatch):
        texts = ["the", "the cat sat on the mat. " * 5, "a", "the man."]
        wanted = [by_hand(model, text) for text in texts]
        for rows, steps in ((64, 512), (3, 7)):
            monkeypatch.setattr(cw.jobs.language.estimator, "_ROWS", rows)
            monkeypatch.setattr(cw.jobs.language.measuring, "_STEPS", steps)
            nats, counts = model.nats(texts)
            assert nats == pytest.approx(wanted, rel=1e-4)
            assert counts.tolist() == [len(text) for text in texts]
        assert model.score(texts) == pytest.approx(-sum(wanted) / sum(map(len, texts)), rel=1e-4)

    def test_what_it_has_read_is_likelier_than_what_it_has_not(self, model):
        assert model.score("the cat sat on the mat.") > model.score("eht tac tas no eht tam.") + 2

    def test_lines_of_words_end_with_a_token(self):
        made = cw.LanguageModel(**SMALL, vocabulary="words").fit("a b\nc d\n" * 20)
        assert made.nats("a b\nc")[1].tolist() == [4]
        assert made.bits_per_character("a b\nc") == pytest.approx(
            by_hand(made, "a b\nc") / math.log(2) / 5, rel=1e-4
        )

    def test_what_comes_next(self, model):
        assert model.predict(["the ca", "the do"]).tolist() == ["t", "g"]
        assert model.predict_proba(["the ca"]).sum() == pytest.approx(1)


class TestWriting:
    def test_the_most_probable(self, model):
        assert model.generate("the cat", 16, temperature=0) == " sat on the mat."
        assert model.generate("the dog", 16, top_k=1) == " ran to the man."
        assert model.generate("the dog", 16, top_p=1e-9) == " ran to the man."
        assert model.generate("the dog", 0) == ""

    def test_draws_follow_the_chances(self, model):
        wanted = model.predict_proba(["the "])[0]
        drawn = [model.generate("the ", 1, random_state=seed) for seed in range(200)]
        for letter in "cmd":
            chance = wanted[model.vocabulary_.number(letter)]
            error = 4 * math.sqrt(chance * (1 - chance) / 200)
            assert abs(drawn.count(letter) / 200 - chance) < error

    def test_a_seed_repeats_a_text(self, model):
        first = model.generate("the", 60, temperature=2.0, random_state=5)
        assert model.generate("the", 60, temperature=2.0, random_state=5) == first
        assert model.generate("the", 60, temperature=2.0, random_state=6) != first

    def test_only_the_best_are_drawn(self, model):
        chances = model.predict_proba(["the "])[0]
        best = {model.vocabulary_.tokens[token] for token in np.argsort(-chances)[:2]}
        drawn = {
            model.generate("the ", 1, temperature=3.0, top_k=2, random_state=seed)
            for seed in range(60)
        }
        assert drawn == best

    @pytest.mark.parametrize(
        ("options", "kept"),
        [
            ({}, {0, 1, 2, 3}),
            ({"top_k": 2}, {1, 3}),
            ({"top_k": 9}, {0, 1, 2, 3}),
            ({"top_p": 0.39}, {1}),
            ({"top_p": 0.41}, {1, 3}),
            ({"top_p": 0.71}, {0, 1, 3}),
            ({"top_k": 3, "top_p": 0.9}, {0, 1, 3}),
            ({"temperature": 0}, {1}),
            ({"temperature": 0.01}, {1}),
        ],
    )
    def test_which_tokens_are_drawn(self, options, kept):
        scores = np.log(np.array([0.2, 0.4, 0.1, 0.3])) + 5
        how, random = Sampling(**options), np.random.default_rng(0)
        assert {how.draw(scores, random) for _ in range(300)} == kept

    def test_it_stops_before_a_text(self, model):
        assert model.generate("the cat", 40, temperature=0, stop=" the") == " sat on"
        assert model.generate("the cat", 40, temperature=0, stop=["mat", " on"]) == " sat"
        assert model.generate("the cat", 9, temperature=0, stop="zzz") == " sat on t"
        assert model.generate("the cat", 40, beam=2, stop=" the") == " sat on"

    def test_a_stream_goes_on_without_end(self, model):
        endless = model.stream("the cat", random_state=5)
        text = "".join(itertools.islice(endless, 3000))
        assert len(text) == 3000
        assert text[:60] == model.generate("the cat", 60, random_state=5)
        assert "".join(model.stream("the cat", length=9, random_state=5)) == text[:9]

    def test_texts_come_to_an_end(self, several):
        written = {several.generate(random_state=seed) for seed in range(20)}
        known = [text for text in written if text in ("one two.", "three four five.")]
        assert len(known) == 2
        assert several.generate("three", beam=3) == " four five."

    @pytest.mark.parametrize("kind", ["words", "tokens", "bytes", "subwords"])
    def test_pieces_are_the_text(self, kind):
        text = "Ünder é 🙂, a man.\nHe, too!\n" * 12
        size = 270 if kind == "subwords" else None
        options = {**SMALL, "epochs": 24, "learning_rate": 0.04, "layers": [32]}
        made = cw.LanguageModel(**options, vocabulary=kind, vocabulary_size=size).fit(text)
        pieces = list(made.stream("Ünder", length=80, temperature=0))
        assert "".join(pieces).startswith(" é 🙂, a man.\nHe, too!\nÜnder é 🙂, a man.")
        assert "\ufffd" not in "".join(pieces)

    @pytest.mark.parametrize(
        ("options", "message"),
        [
            ({"temperature": -1}, "temperature=-1"),
            ({"temperature": math.nan}, "temperature=nan"),
            ({"top_k": 0}, "top_k=0"),
            ({"top_p": 0.0}, "top_p=0.0"),
            ({"top_p": 1.5}, "top_p=1.5"),
            ({"beam": 0}, "beam=0"),
            ({"beam": 2, "top_k": 3}, "leave temperature and top out"),
            ({"length": -1}, "length=-1"),
            ({"length": True}, "length=True"),
            ({"length": 2.0}, "length=2.0"),
            ({"top_k": 2.5}, "top_k=2.5"),
            ({"top_p": "1"}, "top_p='1'"),
            ({"temperature": "1"}, "temperature='1'"),
            ({"temperature": None}, "temperature=None"),
            ({"random_state": "x"}, "random_state='x'"),
            ({"random_state": -1}, "random_state=-1"),
            ({"beam": 2.0}, "beam=2.0"),
            ({"stop": ["a", ""]}, "not empty"),
            ({"stop": ""}, "not empty"),
            ({"stop": [3]}, r"stop=\[3\]"),
            ({"stop": 3}, "stop=3"),
        ],
    )
    def test_bad_arguments(self, model, options, message):
        with pytest.raises(SettingError, match=message):
            model.generate("the", **options)

    def test_a_stream_looks_at_its_arguments_when_it_is_opened(self, model):
        for options in ({"length": -1}, {"random_state": "x"}, {"top_k": 2.5}):
            with pytest.raises(SettingError, match=next(iter(options))):
                model.stream("the", **options)

    def test_the_smallest_temperature_takes_the_likeliest(self):
        scores = np.array([3.0, -np.inf, 5.0, 4.999])
        for temperature in (1e-310, 5e-324, 0):
            assert Sampling(temperature).draw(scores, np.random.default_rng(0)) == 2

    def test_a_seed_that_is_no_text(self, model):
        with pytest.raises(DataError, match="seed_text: expected text, got bytes"):
            model.generate(b"the")


class Remembering:
    """A stream whose scores depend on everything that a row has read."""

    def __init__(self, rows, seed):
        self.read, self.seed = [()] * rows, seed

    def step(self, tokens):
        self.read = [(*before, token) for before, token in zip(self.read, tokens, strict=True)]
        return np.stack([self.scores(row) for row in self.read])

    def scores(self, row):
        return 2 * np.random.default_rng([self.seed, *row]).normal(size=6)

    def take(self, rows):
        self.read = [self.read[row] for row in rows]

    def nats(self, tokens):
        """Of tokens behind the seed 2."""
        chances = [log_softmax(self.scores((2, *tokens[:at])))[t] for at, t in enumerate(tokens)]
        return -float(np.sum(chances))


class TestBeam:
    """Tokens 3 to 5 are text; 2 is the end of it, 0 and 1 are never written."""

    @pytest.mark.parametrize("seed", range(8))
    def test_a_wide_beam_finds_the_best_of_all_texts(self, seed):
        judge = Remembering(1, seed)
        ended = [(*t, 2) for n in range(3) for t in itertools.product((3, 4, 5), repeat=n)]
        texts = [*ended, *itertools.product((3, 4, 5), repeat=3)]
        best = min(texts, key=lambda text: judge.nats(text) / len(text))
        found = likeliest(Remembering(27, seed), [2], 3, 27, [0, 1], 2)
        assert found == [token for token in best if token != 2]

    def test_a_narrow_beam_takes_the_likeliest_token_each_time(self):
        judge, written = Remembering(1, 3), []
        for _ in range(3):
            row = judge.scores((2, *written))
            written.append(3 + int(row[3:].argmax()))
        found = likeliest(Remembering(1, 3), [2], 3, 1, [0, 1], 2)
        assert found == written[: len(found)]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ([], "X is empty"),
        ("", r"X\[0\] is an empty text"),
        (["a", ""], r"X\[1\] is an empty text"),
        (["a", 3], r"X\[1\]: expected text, got int"),
        (5, "X: expected a list of texts, got int"),
        (b"abc", "X: expected a list of texts, got bytes"),
        (["ab\ud800c" * 20], r"character 2 is half of a surrogate"),
        ("ab", "text of 2 characters cannot be divided"),
        (" \n " * 20, "there are no words"),
    ],
)
def test_bad_texts(text, message):
    started = []
    kind = "words" if isinstance(text, str) and not text.strip() and text else "characters"
    with pytest.raises(DataError, match=message):
        cw.LanguageModel(**SMALL, vocabulary=kind).fit(text, on_start=lambda: started.append(1))
    assert not started


@pytest.mark.parametrize(
    ("X", "error", "message"),
    [
        (np.array("the"), ShapeError, r"X: expected \(texts,\), got \(\)"),
        (pd.DataFrame({"the": ["cat"]}), ShapeError, r"X: expected \(texts,\), got \(1, 1\)"),
        ({"the", "cat"}, DataError, "X: expected a list of texts, got set"),
        (["cat", "a\ud800"], DataError, r"X\[1\]: character 1 is half of a surrogate"),
    ],
    ids=["array", "table", "set", "surrogate"],
)
def test_texts_that_cannot_be_scored(model, X, error, message):
    with pytest.raises(error, match=message):
        model.score(X)


def test_the_perplexity_of_what_is_all_but_impossible_is_a_number():
    options = {**SMALL, "validation_fraction": 0, "learning_rate": 1e3}
    model = cw.LanguageModel(**options).fit(TEXT)
    assert model.score("mat zzz") < -1000
    assert math.isfinite(model.perplexity("mat zzz"))


def asked_of(model):
    """All that can be asked about texts."""
    return (model.predict_proba, model.score, model.perplexity, model.bits_per_character)


@settings(max_examples=60, derandomize=True)
@given(st.data())
def test_whatever_is_given_trains_or_is_refused_by_name(data):
    spoiled_x = spoiled(data.draw(texts))
    x = data.draw(spoiled_x | st.sampled_from(["a b\nb a " * 3, "a", None]))
    other = data.draw(spoiled_x)
    validation = data.draw(st.sampled_from([None, None, other, "a", " ", 7, [["a b"]]]))
    options = data.draw(
        st.sampled_from(
            [
                {"validation_fraction": 0},
                {"validation_fraction": 0.4, "vocabulary": "words", "steps": 2},
                {"validation_fraction": 0.4, "vocabulary": "tokens", "lowercase": True},
                {"validation_fraction": 0, "vocabulary": "bytes", "precision": "64-true"},
            ]
        )
    )
    model = cw.LanguageModel(layers=[2], epochs=1, batch_size=2, backend="reference", **options)
    try:
        model.fit(x, validation=validation)
    except CellwrightError as error:
        assert str(error)  # noqa: PT017 any of ours will do
        return
    for ask in asked_of(model):
        for each in (x, *data.draw(st.tuples(spoiled_x, spoiled_x, spoiled_x))):
            try:
                assert np.isfinite(ask(each)).all()
            except CellwrightError as error:
                assert str(error)  # noqa: PT017
    for seed in other[:2]:
        try:
            assert isinstance(model.generate(seed, 2, random_state=0), str)
        except CellwrightError as error:
            assert "seed_text" in str(error)  # noqa: PT017


def test_bad_options():
    for options, message in (
        ({"patience": 2, "validation_fraction": 0}, "patience watches validation data"),
        ({"adaptive_softmax": [3]}, "give tied=False"),
        ({"vocabulary": "letters"}, "vocabulary='letters'"),
        ({"vocabulary": "subwords", "vocabulary_size": 100}, "at least 260 tokens"),
        ({"steps": 0}, "steps=0"),
    ):
        with pytest.raises(SettingError, match=message):
            cw.LanguageModel(**{**SMALL, **options}).fit(TEXT)


def test_a_file_that_contradicts_itself_is_refused(model, tmp_path):
    other = cw.LanguageModel(**SMALL).fit("abc" * 40)
    model.facts_, kept = other.facts_, model.facts_
    try:
        model.save(tmp_path / "model.cw")
    finally:
        model.facts_ = kept
    with pytest.raises(ModelFileError, match="contradicts itself: tensor bias: expected"):
        cw.load(tmp_path / "model.cw")


class Interrupt(Reporter):
    """Stops at the n-th step."""

    def __init__(self, at):
        self.left = at

    def advanced(self, progress):
        self.left -= 1
        if self.left == 0:
            raise KeyboardInterrupt


@pytest.fixture
def config(tmp_path):
    (tmp_path / "text.txt").write_text(TEXT)
    dropped = {"dropout": 0.3, "input_dropout": 0.2, "weight_drop": 0.2}
    options = {**SMALL, **dropped, "epochs": 4, "layers": [6, 5]}
    return configure(str(tmp_path / "text.txt"), job="language", **options)


def test_a_run_writes_its_folder(config, tmp_path):
    folder = RunFolder(tmp_path / "run")
    result = run(config, folder)
    test = result["test"]
    assert list(test) == ["nats_per_token", "perplexity", "bits_per_character", "tokens", "unknown"]
    made = cw.load(folder.path)
    assert test["nats_per_token"] == pytest.approx(-made.score(TEXT[-test["tokens"] :]))
    assert test["tokens"] == round(0.1 * len(TEXT))
    for name in ("bits_per_character.png", "next_tokens.png", "sample.txt"):
        assert name in result["files"]
    assert len((folder.path / "sample.txt").read_text()) > 100
    given = cw.jobs.samples(made, folder.path, None, None)
    table = cw.jobs.predictions(made, given, probabilities=True)
    assert list(table.columns) == ["id", "prediction", "probability"]
    measures, report = cw.jobs.scores(made, given)
    assert measures == test
    assert "bits a character" in report


def test_the_picture_shows_a_text_that_has_tokens(tmp_path):
    (tmp_path / "text.txt").write_text("one two   " + "one two ab")
    reading = {"tails": 2, "vocabulary": "words", "validation_fraction": 0, "epochs": 1}
    config = configure(str(tmp_path / "text.txt"), job="language", layers=[4], **reading)
    assert config.read_data().test == [" ", "b"]
    assert "next_tokens.png" in run(config, RunFolder(tmp_path / "run"))["files"]


def test_a_killed_run_ends_with_the_same_weights(config, tmp_path, monkeypatch):
    for name in ("draw_learning_curve", "save_picture"):
        monkeypatch.setattr("cellwright.jobs.runs.run." + name, lambda *given: None)
    for name in ("draw_bits", "save_picture", "next_tokens_picture"):
        monkeypatch.setattr(cw.jobs.language.job, name, lambda *given: None)
    whole = RunFolder(tmp_path / "whole")
    wanted, first = run(config, whole), load_file(whole.model)
    for at in (1, 12, 25):
        cut = RunFolder(tmp_path / f"cut{at}")
        with pytest.raises(KeyboardInterrupt):
            run(config, cut, reporter=Interrupt(at))
        found, second = run(config, cut, resume=True), load_file(cut.model)
        assert first.keys() == second.keys()
        for name, tensor in first.items():
            assert torch.equal(tensor, second[name]), (at, name)
        assert found["test"] == wanted["test"]
        assert (cut.path / "sample.txt").read_text() == (whole.path / "sample.txt").read_text()
        assert json.loads((cut.path / "result.json").read_text())["epochs"] == 4
