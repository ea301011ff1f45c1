"""``cellwright fit language`` and ``cellwright generate``."""

import json

import numpy as np
import pytest
from typer.testing import CliRunner

import cellwright as cw
from cellwright.cli.app import app


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    place = tmp_path_factory.mktemp("language")
    (place / "text.txt").write_text("the cat sat on the mat. " * 30)
    arguments = [
        *("fit", "language", "--data", str(place / "text.txt"), "--out", str(place / "run")),
        *("--layers", "16", "--batch-size", "4", "--steps", "16", "--epochs", "20"),
        *("--learning-rate", "0.04", "--dropout", "0", "--quiet"),
    ]
    done = CliRunner().invoke(app, arguments)
    assert done.exit_code == 0, done.output
    return str(place / "run")


def generate(*arguments):
    done = CliRunner().invoke(app, ["generate", *arguments])
    if done.exception and not isinstance(done.exception, SystemExit):
        raise done.exception
    return done.stdout


def test_it_writes_on(folder):
    written = generate(folder, "--seed-text", "the cat", "--length", "16", "--temperature", "0")
    assert written == "the cat sat on the mat.\n"
    first = generate(folder, "--length", "40", "--seed", "3")
    assert generate(folder, "--length", "40", "--seed", "3") == first


def test_beam_stop_and_json(folder):
    assert generate(folder, "--seed-text", "the cat", "--beam", "2", "--stop", " on") == (
        "the cat sat\n"
    )
    told = json.loads(generate(folder, "--seed-text", "the cat", "--json", "--top-k", "1"))
    assert told["seed_text"] == "the cat"
    assert told["text"].startswith(" sat on the mat.")


def test_what_cannot_be(folder, tmp_path):
    with pytest.raises(cw.errors.SettingError, match="writes without end"):
        generate(folder, "--length", "0", "--beam", "2")
    with pytest.raises(cw.errors.SettingError, match="top_k=0"):
        generate(folder, "--top-k", "0")
    x, y = [np.zeros((3, 1)), np.ones((4, 1))] * 10, [0, 1] * 10
    cw.SequenceClassifier(layers=[2], epochs=1).fit(x, y).save(tmp_path / "other.cw")
    with pytest.raises(cw.errors.SettingError, match="which writes no text"):
        generate(str(tmp_path / "other.cw"))


def test_predict_and_score(folder):
    runner = CliRunner()
    scored = json.loads(runner.invoke(app, ["score", folder, "--json"]).stdout)
    assert scored["job"] == "language"
    assert scored["test"]["perplexity"] < 1.5
    table = runner.invoke(app, ["predict", folder]).stdout.splitlines()
    assert table[0] == "id,prediction"
