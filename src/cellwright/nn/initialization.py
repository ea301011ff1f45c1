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
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields

import torch
from torch import Tensor, nn

from cellwright.errors import SettingError, did_you_mean
from cellwright.ir import HIDDEN, Graph, block_of_units

__all__ = ["SCHEMES", "Initialization", "resolve"]


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


def _kept(weight: Tensor, mask: object) -> list[Tensor]:
    """The parts of a masked matrix that are in use: for each block of rows, its columns."""
    if not isinstance(mask, tuple):
        return [weight]
    kind, blocks = mask
    rows, columns = (torch.tensor(block_of_units(n, blocks)) for n in weight.shape)
    parts = []
    for block in range(blocks):
        used = {
            "block_diagonal": columns == block,
            "block_lower": columns <= block,
            "block_upper": columns >= block,
        }[kind].nonzero()
        own = (rows == block).nonzero()
        parts.append(weight[int(own[0]) : int(own[-1]) + 1, int(used[0]) : int(used[-1]) + 1])
    return parts


_VECTOR_METHODS = ("as_written", "uniform", "zeros")


@dataclass(frozen=True)
class Initialization:
    """One method for each kind of weight.

    Attributes
    ----------
    input
        For matrices that see the input alone.
    recurrent
        For matrices that see a state, or anything computed from one.
    bias, scale
        For vectors that are added and multiplied.
    """

    input: str = "glorot_uniform"
    recurrent: str = "orthogonal"
    bias: str = "as_written"
    scale: str = "as_written"

    def __post_init__(self) -> None:
        for field in fields(self):
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
        of_state = graph.depends_on("state")
        recurrent = {v.inputs[0] for v in graph.leaves("matmul") if v.inputs[1] in of_state}
        for name, node in graph.weights.items():
            if node.op == "matrix":
                method = self.recurrent if node in recurrent else self.input
            else:
                method = self.bias if node.attributes["role"] == "bias" else self.scale
            if method == "as_written":
                value = node.attributes["init"]
                assert isinstance(value, float)
                weights[name].fill_(value)
            else:
                for part in _kept(weights[name], node.attributes.get("mask")):
                    _METHODS[method](part, sizes[HIDDEN])


SCHEMES: dict[str, Initialization] = {
    "standard": Initialization(),
    "torch": Initialization(input="uniform", recurrent="uniform", bias="uniform", scale="uniform"),
    "identity": Initialization(recurrent="identity"),
}


def resolve(initialization: str | Mapping[str, str] | Initialization) -> Initialization:
    """The scheme of that name, or one made of a mapping such as {"recurrent": "identity"}."""
    if isinstance(initialization, Initialization):
        return initialization
    if isinstance(initialization, Mapping):
        kinds = [field.name for field in fields(Initialization)]
        for kind in initialization:
            if kind not in kinds:
                raise SettingError(f"initialization has no kind {kind!r}; it has {kinds}")
        return Initialization(**initialization)
    if initialization not in SCHEMES:
        raise SettingError(
            f"there is no initialization {initialization!r}; known: {', '.join(SCHEMES)}, or a "
            f"mapping from input, recurrent, bias, scale to a method"
        )
    return SCHEMES[initialization]
