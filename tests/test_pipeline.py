"""Compiling: which backend runs a cell, what is said about it, and settings."""

import pytest
import torch

import cellwright as cw
from cellwright import pipeline
from cellwright.backends import BACKENDS, Answer, contract
from cellwright.backends.cpu import backend as cpu
from cellwright.backends.cpu import engine as rooms
from cellwright.backends.cpu import library
from cellwright.errors import BackendError, CellwrightWarning, SettingError, ToolchainError
from cellwright.settings import settings
from cellwright.toolchain import search

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
        rooms.engine.cache_clear()
        search._found.clear()
        contract.announced.clear()

    yield change
    monkeypatch.undo()
    change()


class Picky:
    """A backend that runs one cell only."""

    name = "picky"

    def answer(self, graph, device, dtype):
        return Answer(graph.name == "elman", "it runs the Elman network alone")

    def build(self, graph, sizes, otherwise=None):
        return f"picky {graph.name}, else {otherwise and otherwise.graph.name}"


@pytest.fixture
def picky(monkeypatch, environment):
    monkeypatch.setattr(pipeline, "BACKENDS", {"picky": Picky(), **BACKENDS})
    environment()


def test_the_first_backend_that_can_is_taken_and_why_is_told_once(picky):
    kernel = pipeline.compile(cw.cells.elman.graph, SIZES, **WHERE)
    assert kernel == "picky elman, else elman"
    wider = SIZES | {"hidden": 4}
    with pytest.warns(CellwrightWarning) as warned:
        kernel = pipeline.compile(cw.cells.lstm.graph, SIZES, **WHERE)
    pipeline.compile(cw.cells.lstm.graph, wider, **WHERE)  # a second warning were an error
    assert kernel.graph.name == "lstm"
    assert [str(w.message) for w in warned] == [
        "cell 'lstm' runs on the cpu backend, which is slower; "
        "picky: it runs the Elman network alone"
    ]


def test_a_backend_for_another_device_is_passed_over_without_a_word():
    where = {"device": torch.device("meta"), "dtype": torch.float32}
    kernel = pipeline.compile(cw.cells.lstm.graph, SIZES, **where)
    assert type(kernel).__name__ == "ReferenceKernel"


def test_a_backend_asked_for_by_name_is_taken_or_refuses(picky):
    kernel = pipeline.compile(cw.cells.elman.graph, SIZES, backend="reference", **WHERE)
    assert kernel.graph.name == "elman"
    with pytest.raises(BackendError, match="cell 'lstm': picky: it runs the Elman network alone"):
        pipeline.compile(cw.cells.lstm.graph, SIZES, backend="picky", **WHERE)
    kernel = pipeline.compile(cw.cells.elman.graph, SIZES, backend="picky", **WHERE)
    assert kernel == "picky elman, else None"


def test_the_environment_says_what_auto_means(picky, environment):
    environment(backend="reference")
    assert pipeline.compile(cw.cells.elman.graph, SIZES, **WHERE).graph.name == "elman"
    environment(backend="refrence")
    with pytest.raises(BackendError, match="Did you mean 'reference'"):
        pipeline.compile(cw.cells.elman.graph, SIZES, **WHERE)


def test_without_a_compiler_the_reference_runs_and_says_so(monkeypatch, environment):
    def none():
        raise ToolchainError("there is no C++ compiler")

    environment()
    monkeypatch.setattr(cpu, "compiler", none)
    net, x = cw.Recurrent("lstm", 2, 3), torch.randn(2, 4, 2)
    with pytest.warns(CellwrightWarning, match="runs on the reference backend.*cpu: there is no C"):
        net(x)
    net(x)
    with pytest.raises(BackendError, match="cpu: there is no C"):
        cw.Recurrent("lstm", 2, 3, backend="cpu")(x)


def test_what_does_not_compile_runs_on_the_reference_which_is_told_or_raises(
    environment, monkeypatch
):
    def fail(source, **named):
        raise ToolchainError("the C++ compiler failed.")

    environment()
    rooms._compiled.cache_clear()
    monkeypatch.setattr(library, "load", fail)
    net, x = cw.Recurrent("lstm", 2, 3), torch.randn(2, 4, 2)
    told = "cell 'lstm' runs on the reference backend, which is slower; cpu: the C[+][+] compiler"
    with pytest.warns(CellwrightWarning, match=told):
        y, _ = net(x)
    y.sum().backward()
    net(x)  # a second warning were an error
    with pytest.raises(ToolchainError, match="compiler failed"):
        cw.Recurrent("lstm", 2, 3, backend="cpu")(x)


def test_layers_of_one_shape_share_a_kernel():
    one, other = (pipeline.compile(cw.cells.gru.graph, SIZES, **WHERE) for _ in range(2))
    assert one is other


SAYS = {
    1: (
        "# lstm (hidden=3, input=2): cpu, torch.float32 on cpu",
        "saved for the gradient: 60 bytes",
    ),
    2: ("# lstm after simplify\niₜ = σ(", "δxₜ = W_oxᵀ δo_biasₜ"),
    3: (".cpp",),
    4: (" µs, 5 steps of 4 rows, 1 threads",),
}


@pytest.mark.parametrize("level", SAYS)
def test_debug_tells_more_and_more(environment, capsys, level):
    environment(debug=str(level))
    rooms._compiled.cache_clear()
    cw.Recurrent("lstm", 2, 3)(torch.randn(4, 5, 2))[0].sum().backward()
    told = capsys.readouterr().err
    for wanted, words in SAYS.items():
        for word in words:
            assert (word in told) == (wanted <= level), word


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
