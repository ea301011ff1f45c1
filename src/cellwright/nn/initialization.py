"""How weights start, each method with its source.

========================  =====================================================================
``"glorot_uniform"``      uniform in ±sqrt(6 / (fan in + fan out)); Glorot and Bengio 2010
``"glorot_normal"``       normal with variance 2 / (fan in + fan out); Glorot and Bengio 2010
``"lecun_normal"``        normal with variance 1 / fan in; LeCun et al. 1998
``"orthogonal"``          a random orthogonal matrix; Saxe, McClelland and Ganguli 2014
``"identity"``            the identity; Le, Jaitly and Hinton 2015
``"uniform"``             uniform in ±1 / sqrt(hidden units), as in torch.nn
``"zeros"``               zero
``"as_written"``          the number in the equations: ``bias=`` of affine, ``init=`` of scale
========================  =====================================================================

On top of them, ``chrono`` sets the biases that decide how long a state is remembered; Tallec
and Ollivier 2018.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from typing import TypeAlias

import torch
from torch import Tensor, nn

from cellwright.arguments import as_whole
from cellwright.errors import SettingError, did_you_mean
from cellwright.ir import HIDDEN, Graph, block_of_units
from cellwright.nn.gates import find_gates
from cellwright.nn.weight_drop import recurrent_matrices

__all__ = ["SCHEMES", "Initialization", "Scheme", "resolve"]


def _orthogonal(weight: Tensor, hidden: int) -> None:
    if weight.dtype in (torch.float16, torch.bfloat16):
        # There is no half-precision QR decomposition.
        weight.copy_(nn.init.orthogonal_(torch.empty_like(weight, dtype=torch.float32)))
    else:
        nn.init.orthogonal_(weight)


_METHODS: dict[str, Callable[[Tensor, int], object]] = {
    "glorot_uniform": lambda weight, hidden: nn.init.xavier_uniform_(weight),
    "glorot_normal": lambda weight, hidden: nn.init.xavier_normal_(weight),
    "lecun_normal": lambda weight, hidden: nn.init.normal_(weight, std=weight.shape[1] ** -0.5),
    "orthogonal": _orthogonal,
    "identity": lambda weight, hidden: nn.init.eye_(weight),
    "uniform": lambda weight, hidden: nn.init.uniform_(weight, -(hidden**-0.5), hidden**-0.5),
    "zeros": lambda weight, hidden: nn.init.zeros_(weight),
}


def _parts(weight: Tensor, mask: object, method: str) -> list[Tensor]:
    """What a method fills: the whole matrix, or for each block of rows the columns in use."""
    if not isinstance(mask, tuple):
        return [weight]
    kind, blocks = mask
    rows, columns = (block_of_units(n, blocks) for n in weight.shape)
    parts = []
    for block in range(blocks):
        first, last = {"block_lower": (0, block), "block_upper": (block, blocks - 1)}.get(
            kind, (block, block)
        )
        if method == "identity":
            first = last = block  # the diagonal of the matrix, not one of each row of blocks
        parts.append(
            weight[
                bisect_left(rows, block) : bisect_right(rows, block),
                bisect_left(columns, first) : bisect_right(columns, last),
            ]
        )
    return parts


_VECTOR_METHODS = ("as_written", "uniform", "zeros")


@dataclass(frozen=True)
class Initialization:
    r"""One method for each kind of weight.

    Attributes
    ----------
    input
        For matrices that see the input alone.
    recurrent
        For matrices that see a state, or anything computed from one.
    bias, scale
        For vectors that are added and multiplied.
    chrono
        The longest span of steps that is to be remembered, $T_{\max}$: the biases of gates
        that keep a state (a forget gate's) start at $\log u$ with $u \sim U(1, T_{\max} - 1)$
        for each unit, so that it keeps for about $u$ steps, and those that write (an input
        gate's, or that of a GRU's mix) at $-\log u$ with the same $u$. Which biases these are
        is found from the equations, see `cellwright.nn.gates`. None leaves them to `bias`.
    """

    input: str = "glorot_uniform"
    recurrent: str = "orthogonal"
    bias: str = "as_written"
    scale: str = "as_written"
    chrono: int | None = None

    def __post_init__(self) -> None:
        span = self.chrono
        if span is not None and (as_whole(span) or 0) < 2:
            raise SettingError(
                f"initialization: chrono={span!r} is no number of steps; give the longest span "
                f"to be remembered, a whole number from 2"
            )
        for field in fields(self)[:4]:
            method = getattr(self, field.name)
            known = tuple(_METHODS) if field.name in ("input", "recurrent") else _VECTOR_METHODS
            if method not in known:
                raise SettingError(
                    f"initialization: {field.name}={method!r} is not one of {', '.join(known)}."
                    f"{did_you_mean(str(method), known)}"
                )

    @torch.no_grad()
    def apply(self, graph: Graph, weights: Mapping[str, Tensor], sizes: Mapping[str, int]) -> None:
        """Fill the weights of one layer in place, in the order of the equations."""
        recurrent = recurrent_matrices(graph)
        for name, node in graph.weights.items():
            if node.op == "matrix":
                method = self.recurrent if name in recurrent else self.input
            else:
                method = self.bias if node.attributes["role"] == "bias" else self.scale
            if method == "as_written":
                value = node.attributes["init"]
                assert isinstance(value, float)
                weights[name].fill_(value)
            else:
                weights[name].zero_()  # what a mask leaves out is never filled
                for part in _parts(weights[name], node.attributes.get("mask"), method):
                    _METHODS[method](part, sizes[HIDDEN])
        if self.chrono is not None:
            _remember(graph, weights, self.chrono)


def _remember(graph: Graph, weights: Mapping[str, Tensor], longest: int) -> None:
    """Start the gates of each state so that its units remember for 1 to `longest` steps."""
    if not find_gates(graph):
        raise SettingError(
            f"initialization: chrono is for gates between 0 and 1 that decide how much of a state "
            f"is kept; cell {graph.name!r} has none with a bias"
        )
    done: set[str] = set()
    for gates in find_gates(graph):
        # One span a unit, for all gates of that size.
        spans: dict[int, Tensor] = {}
        for sign, names in ((1, gates.keeping), (-1, gates.writing)):
            for name in names:
                if name in done:
                    continue
                done.add(name)
                bias = weights[name]
                if len(bias) not in spans:
                    spans[len(bias)] = torch.empty_like(bias).uniform_(1, longest - 1)
                bias.copy_(sign * spans[len(bias)].log())


# A scheme's name, what changes of the standard one, or a whole one.
Scheme: TypeAlias = str | Mapping[str, str | int] | Initialization

SCHEMES: dict[str, Initialization] = {
    "standard": Initialization(),
    "torch": Initialization(input="uniform", recurrent="uniform", bias="uniform", scale="uniform"),
    "identity": Initialization(recurrent="identity"),
}


def resolve(initialization: Scheme) -> Initialization:
    """The scheme of that name, or one made of a mapping such as {"recurrent": "identity"}."""
    if isinstance(initialization, Initialization):
        return initialization
    if isinstance(initialization, Mapping):
        kinds = [field.name for field in fields(Initialization)]
        for kind in initialization:
            if kind not in kinds:
                raise SettingError(
                    f"initialization has no kind {kind!r}; it has {kinds}."
                    f"{did_you_mean(str(kind), kinds)}"
                )
        return Initialization(**initialization)  # type: ignore[arg-type]
    if initialization == "chrono":
        raise SettingError(
            "initialization: chrono wants the longest span of steps to be remembered: write "
            "chrono=100, or in Python {'chrono': 100}"
        )
    if not isinstance(initialization, str) or initialization not in SCHEMES:
        raise SettingError(
            f"there is no initialization {initialization!r}; known: {', '.join(SCHEMES)}, or a "
            f"mapping from input, recurrent, bias, scale to a method, with chrono to a number"
        )
    return SCHEMES[initialization]
