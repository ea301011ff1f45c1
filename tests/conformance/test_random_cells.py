"""Random cells from the whole op set: every way of keeping and lowering a graph is the same.

What is drawn here: any tree of ops over the input, the states, one of the layer below, the
step, constants, draws, vectors and matrices. What is compared: the graph as it was drawn, after
the pipeline's stages, and after a journey through JSON; bit for bit, because none of the three
may change a number.
"""

import json

import torch
from hypothesis import given, settings
from random_graphs import SIZES, draw_call, graphs

from cellwright.backends.reference import ReferenceBackend
from cellwright.ir import from_json, to_json, to_latex, to_text
from cellwright.pipeline import lower

ACTIVE = torch.tensor([[1, 1], [1, 0], [1, 0]], dtype=torch.bool)


def run(graph):
    call = draw_call(graph, SIZES, active=ACTIVE, record=tuple(graph.observable))
    result = ReferenceBackend().build(graph, SIZES)(call)
    return result.states | result.signals


@settings(max_examples=300)
@given(graphs())
def test_no_stage_changes_a_number(graph):
    expected = run(graph)
    for other in (lower(graph), from_json(json.loads(json.dumps(to_json(graph))))):
        found = run(other)
        assert found.keys() == expected.keys()
        for name, value in expected.items():
            torch.testing.assert_close(found[name], value, rtol=0, atol=0, equal_nan=True)


@settings(max_examples=150)
@given(graphs())
def test_every_graph_can_be_written(graph):
    for text in (to_text(graph), to_latex(graph)):
        assert len(text.splitlines()) >= 2
        assert len(text) < 200 * len(graph.nodes) + 1_000
    assert to_latex(graph).count("{") == to_latex(graph).count("}")
