import io
import json

import pytest
from rich.console import Console

from cellwright.cli import reporters
from cellwright.cli.reporters import (
    ClosableReporter,
    JsonReporter,
    LineReporter,
    TerminalReporter,
    choose_reporter,
    waiting,
)
from cellwright.jobs import Progress

STARTED = {"job": "classify", "data": "[d]", "train": 9, "test": 3, "features": 2, "cell": "gru"}
ROW = {"epoch": 1, "train_loss": 0.5, "train_accuracy": 0.75, "seconds": 1.25}
RESULT = {"job": "classify", "test": {"accuracy": 0.5, "samples": 3}, "parameters": 7}
RESULT |= {"seconds": 2.0, "run": "runs/[x]"}
RESULT["files"] = [
    "model.cw",
    "config.yaml",
    "metrics.csv",
    "learning_curve.png",
    "confusion_matrix.png",
]


def tell(reporter):
    reporter.started(STARTED | {"layers": [4, 2]})
    reporter.advanced(Progress(1, 5, 9, {"loss": 0.5}, 100.0, 1.0))
    reporter.epoch_finished(ROW | {"validation_loss": 0.25, "validation_accuracy": 1.0})
    reporter.note("[a] note")
    reporter.testing()
    reporter.finished(RESULT)
    reporter.close()


def test_lines(capsys):
    tell(LineReporter())
    assert capsys.readouterr().out.splitlines() == [
        "classify [d]: 9 to learn from, 3 to test, 2 features; gru [4, 2]",
        "epoch   1   train loss 0.5000 accuracy 0.7500   validation loss 0.2500 accuracy 1.0000   "
        "1.25 s",
        "[a] note",
        "test accuracy 0.5000  samples 3   7 parameters   trained in 2.0 s",
        "runs/[x]/  model.cw  config.yaml  metrics.csv  learning_curve.png  confusion_matrix.png",
    ]


def test_json_lines(capsys):
    tell(JsonReporter())
    captured = capsys.readouterr()
    lines = [json.loads(line) for line in captured.out.splitlines()]
    assert [line.get("event") for line in lines] == ["started", "epoch", "testing", None]
    assert lines[-1] == RESULT
    assert captured.err == "[a] note\n"


def test_silence(capsys):
    tell(ClosableReporter())
    assert capsys.readouterr() == ("", "")


def test_a_terminal_gets_lines_and_a_bar_that_goes_away(monkeypatch):
    screen = io.StringIO()
    console = Console(file=screen, force_terminal=True, width=100, highlight=False)
    monkeypatch.setattr(reporters, "Console", lambda **options: console)
    tell(TerminalReporter())
    shown = screen.getvalue()
    for words in ("epoch   1 ", "100/s", "[a] note", "testing", "runs/[x]/", "test accuracy"):
        assert words in shown
    assert "\x1b[?25l" in shown
    assert "\x1b[?25h" in shown


@pytest.mark.parametrize("is_terminal", [True, False])
def test_what_takes_long_is_named_on_a_terminal_beside_the_output(monkeypatch, is_terminal):
    screen, asked = io.StringIO(), []

    def console(**options):
        asked.append(options)
        return Console(file=screen, force_terminal=is_terminal, width=100)

    monkeypatch.setattr(reporters, "Console", console)
    with waiting("predicting"):
        pass
    assert ("predicting" in screen.getvalue()) is is_terminal
    assert asked == [{"stderr": True}]


def test_the_reporter_fits_where_the_output_goes(monkeypatch):
    assert type(choose_reporter(quiet=True, as_json=True)) is ClosableReporter
    assert type(choose_reporter(quiet=False, as_json=True)) is JsonReporter
    assert type(choose_reporter(quiet=False, as_json=False)) is LineReporter
    monkeypatch.setattr("sys.stdout.isatty", lambda: True, raising=False)
    assert type(choose_reporter(quiet=False, as_json=False)) is TerminalReporter
