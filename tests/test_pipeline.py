"""Compiling: which backend runs a cell, what is said about it, and settings."""

import pytest
import torch

import cellwright as cw
from cellwright import pipeline
from cellwright.backends import BACKENDS, Answer
from cellwright.errors import BackendError, SettingError
from cellwright.settings import settings

SIZES = {"input": 2, "hidden": 3}
WHERE = {"device": torch.device("cpu"), "dtype": torch.float32}


@pytest.fixture
def environment(monkeypatch):
    """Set environment variables and read the settings anew; forget all afterwards."""

    def change(**variables):
        for name, value in variables.items():
            monkeypatch.setenv(f"CELLWRIGHT_{name.upper()}", value)
        settings.cache_clear()
        pipeline._compile.cache_clear()

    yield change
    monkeypatch.undo()
    change()


class Picky:
    """A backend that runs one cell only."""

    name = "picky"

    def answer(self, graph, device, dtype):
        return Answer(graph.name == "elman", "it runs the Elman network alone")

    def build(self, graph, sizes):
        return f"picky {graph.name}"


@pytest.fixture
def picky(monkeypatch, environment):
    monkeypatch.setattr(pipeline, "BACKENDS", {"picky": Picky(), **BACKENDS})
    environment()


def test_the_first_backend_that_can_is_taken(picky):
    assert pipeline.compile(cw.cells.elman.graph, SIZES, **WHERE) == "picky elman"
    assert pipeline.compile(cw.cells.lstm.graph, SIZES, **WHERE).graph.name == "lstm"


def test_a_backend_asked_for_by_name_is_taken_or_refuses(picky):
    kernel = pipeline.compile(cw.cells.elman.graph, SIZES, backend="reference", **WHERE)
    assert kernel.graph.name == "elman"
    with pytest.raises(BackendError, match="cell 'lstm': picky: it runs the Elman network alone"):
        pipeline.compile(cw.cells.lstm.graph, SIZES, backend="picky", **WHERE)


def test_the_environment_says_what_auto_means(picky, environment):
    environment(backend="reference")
    assert pipeline.compile(cw.cells.elman.graph, SIZES, **WHERE).graph.name == "elman"
    environment(backend="refrence")
    with pytest.raises(BackendError, match="Did you mean 'reference'"):
        pipeline.compile(cw.cells.elman.graph, SIZES, **WHERE)


def test_layers_of_one_shape_share_a_kernel():
    one, other = (pipeline.compile(cw.cells.gru.graph, SIZES, **WHERE) for _ in range(2))
    assert one is other


def test_debug_tells_more_and_more(environment, capsys):
    environment(debug="1")
    pipeline.compile(cw.cells.lstm.graph, SIZES, **WHERE)
    told = capsys.readouterr().err
    assert told == "# lstm (hidden=3, input=2): reference, torch.float32 on cpu\n"
    environment(debug="2")
    pipeline.compile(cw.cells.lstm.graph, SIZES, **WHERE)
    assert "# lstm after simplify\niₜ = σ(" in capsys.readouterr().err


def test_a_wrong_setting_is_named(environment):
    environment(debug="9")
    with pytest.raises(SettingError, match="CELLWRIGHT_DEBUG='9'"):
        settings()


def test_every_stage_is_verified(monkeypatch):
    def broken(graph):
        from dataclasses import replace

        return replace(graph, outputs=graph.outputs[:1])

    monkeypatch.setattr(pipeline, "STAGES", (*pipeline.STAGES, broken))
    with pytest.raises(cw.errors.GraphError, match="2 states, 1 outputs"):
        pipeline.lower(cw.cells.lstm.graph)
