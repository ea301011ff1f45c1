"""What a graph of ONNX says about its tensors: which are constant, and what is in them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cellwright.errors import ArgumentError, ModelFileError, SettingError
from cellwright.exchange.onnx_tensors import array_of, given_by_name, tensors_by_name

__all__ = ["OPERATORS", "OnnxGraph", "first_input", "standard"]

OPERATORS = ("LSTM", "GRU", "RNN")

# From here on the three operators have the options that are read; before, others.
_FIRST_OPSET = 7

# What these return has the entries of their first input, at other places or more often.
_REARRANGES = frozenset(
    {"Expand", "Identity", "Reshape", "Slice", "Squeeze", "Tile", "Transpose", "Unsqueeze"}
)

# What these return is drawn anew whenever they run.
_DRAWING = frozenset(
    {
        *("Bernoulli", "Multinomial", "RandomNormal", "RandomNormalLike"),
        *("RandomUniform", "RandomUniformLike"),
    }
)


# The domain of the standard's own operators has two names; the evaluator knows the first.
_STANDARD = ("", "ai.onnx")


def standard(node: Any) -> bool:
    """Whether a node is of the standard's own operators, not of somebody's extension."""
    return node.domain in _STANDARD


def first_input(node: Any) -> str:
    """What a node reads first; "" if it reads nothing."""
    return next(iter(node.input), "")


class OnnxGraph:
    """The nodes and constants of one graph.

    Parameters
    ----------
    nodes
        In the order of the graph.
    constants
        Name -> what `array_of` reads, of each initializer.
    inputs
        Names of what is given when it runs.
    opsets
        Version of each domain's operators.
    """

    def __init__(
        self,
        nodes: Sequence[Any],
        constants: Mapping[str, Any],
        inputs: Iterable[str],
        opsets: Mapping[str, int],
    ) -> None:
        self.nodes = list(nodes)
        self._constants = dict(constants)
        self._inputs = frozenset(inputs) - set(self._constants)
        self._opsets = dict(opsets)
        self._makers = {name: node for node in self.nodes for name in node.output if name}
        drawn = {name for node in self.nodes if _draws(node) for name in node.output}
        self._varying = self._inputs | drawn

    @classmethod
    def of_model(cls, model: Any) -> OnnxGraph:
        """The main graph of a ModelProto."""
        opsets = {
            "" if opset.domain in _STANDARD else opset.domain: opset.version
            for opset in model.opset_import
        }
        if opsets.get("", _FIRST_OPSET) < _FIRST_OPSET:
            raise SettingError(
                f"the model is of opset {opsets['']}; LSTM, GRU and RNN are read from opset "
                f"{_FIRST_OPSET} on: convert it with onnx.version_converter"
            )
        graph = model.graph
        constants = tensors_by_name([*graph.initializer, *graph.sparse_initializer])
        constants |= {
            name: attribute.sparse_tensor
            for node in graph.node
            for name in node.output
            for attribute in node.attribute
            if (node.op_type, attribute.name) == ("Constant", "sparse_value")
        }
        return cls(graph.node, constants, [value.name for value in graph.input], opsets)

    @classmethod
    def of_node(cls, node: Any, initializers: Any) -> OnnxGraph:
        """A node alone; what is not among the initializers is given when it runs."""
        constants = given_by_name(initializers)
        for name in constants:
            if not name or name not in node.input:
                raise ArgumentError(
                    f"initializers: the node does not read {name!r}, but {', '.join(node.input)}"
                )
        return cls([node], constants, node.input, {})

    def recurrent(self) -> list[Any]:
        """All nodes that are an LSTM, GRU or RNN."""
        return [node for node in self.nodes if node.op_type in OPERATORS and standard(node)]

    def maker(self, name: str) -> Any:
        """The node that computes a tensor, or None if it is given or an initializer."""
        return None if name in self._constants else self._makers.get(name)

    def constant(self, name: str) -> NDArray[Any] | None:
        """What is in a tensor, if that is known before the graph runs."""
        if name not in self._constants and self._is_constant(name):
            self._constants[name] = self._folded(name)
        found = self._constants.get(name)
        return None if found is None else array_of(name, found)

    def source(self, name: str) -> str:
        """The tensor that another one is, at most converted on its way."""
        node = self.maker(name)
        if node is not None and standard(node) and node.op_type in ("Cast", "Identity"):
            return self.source(first_input(node))
        return name

    def is_given(self, name: str) -> bool:
        """Whether a tensor comes from outside."""
        return self.source(name) in self._inputs

    def uniform(self, name: str) -> float | None:
        """The number that stands everywhere in a tensor, also where its shape is not known."""
        found, node = self.constant(name), self.maker(name)
        if found is None and node is not None and standard(node):
            if node.op_type in _REARRANGES:
                return self.uniform(first_input(node))
            if node.op_type == "ConstantOfShape":
                filled = [attribute.t for attribute in node.attribute if attribute.name == "value"]
                found = array_of(name, filled[0]) if filled else np.zeros(1)
        if found is None or not found.size or not np.all(found == found.flat[0]):
            return None
        return float(found.flat[0])

    def repeated(self, name: str, shape: Sequence[int | None]) -> NDArray[Any] | None:
        """A constant that an Expand repeats, of this shape as far as that is known.

        Along an axis of unknown length it is as the Expand reads it.
        """
        node = self.maker(name)
        if node is None or node.op_type != "Expand" or not standard(node):
            return None
        found = self.constant(first_input(node))
        if found is None or found.ndim > len(shape):
            return None
        lengths = (1,) * (len(shape) - found.ndim) + found.shape
        found = found.reshape(lengths)
        wanted = [length or own for length, own in zip(shape, lengths, strict=True)]
        fits = all(own in (1, length) for own, length in zip(lengths, wanted, strict=True))
        return np.broadcast_to(found, wanted) if fits else found

    def _is_constant(self, name: str) -> bool:
        return not self._needs(name) & self._varying and self.maker(name) is not None

    def _needs(self, name: str) -> set[str]:
        """Everything that a tensor is computed from."""
        needed, waiting = set(), [name]
        while waiting:
            name = waiting.pop()
            if name and name not in needed:
                needed.add(name)
                node = self.maker(name)
                if node is not None:
                    waiting += [read for part in _with_inner(node) for read in part.input]
        return needed

    def _folded(self, name: str) -> NDArray[Any]:
        """Compute a tensor that depends on constants alone."""
        from onnx import ValueInfoProto, helper, numpy_helper  # noqa: PLC0415 an optional package
        from onnx.reference import ReferenceEvaluator  # noqa: PLC0415

        needed = self._needs(name)
        makers = {id(self.maker(read)) for read in needed}
        nodes = [_plainly_named(node) for node in self.nodes if id(node) in makers]
        constants = [
            numpy_helper.from_array(array_of(key, value), key)
            for key, value in self._constants.items()
            if key in needed
        ]
        graph = helper.make_graph(nodes, "constants", [], [ValueInfoProto(name=name)], constants)
        try:
            found: Any = ReferenceEvaluator(graph, opsets=self._opsets).run(None, {})
        except Exception as error:
            raise ModelFileError(f"the constant {name!r} cannot be computed: {error}") from error
        return np.asarray(found[0])


def _with_inner(node: Any) -> Iterator[Any]:
    """A node and those of the graphs that it runs, such as the branches of an If."""
    yield node
    for attribute in node.attribute:
        for graph in (attribute.g, *attribute.graphs):
            for inner in graph.node:
                yield from _with_inner(inner)


def _plainly_named(node: Any) -> Any:
    """A copy in which the standard's domain has the name that the evaluator knows."""
    found = type(node)()
    found.CopyFrom(node)
    for part in _with_inner(found):
        if standard(part):
            part.domain = ""
    return found


def _draws(node: Any) -> bool:
    # A Dropout has its third input where it drops: exporters write none for evaluation.
    return any(
        part.op_type in _DRAWING or (part.op_type == "Dropout" and len(part.input) > 2)
        for part in _with_inner(node)
    )
