"""Weight drop: single weights of the recurrent matrices are dropped, not units.

Those are all that multiply a state or anything computed from one: of an LSTM with a projection
the matrix of the projection, too, through which every step goes to the next.

Merity, Keskar and Socher, "Regularizing and optimizing LSTM language models" (2018), after
DropConnect (Wan et al. 2013).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from torch import Tensor
from torch.nn.functional import dropout

from cellwright.errors import SettingError
from cellwright.ir import Graph

__all__ = ["check_weight_drop", "dropped", "recurrent_matrices"]


def recurrent_matrices(graph: Graph) -> tuple[str, ...]:
    """Names of the matrices that multiply a state, or anything computed from one."""
    of_state = graph.depends_on("state")
    names = (v.inputs[0].name for v in graph.leaves("matmul") if v.inputs[1] in of_state)
    return tuple(dict.fromkeys(names))


def check_weight_drop(graph: Graph, rate: float) -> None:
    """Raise `SettingError` where there is nothing that could be dropped."""
    if rate and not recurrent_matrices(graph):
        raise SettingError(
            f"weight_drop: no matrix of cell {graph.name!r} multiplies a state, so there is "
            f"nothing to drop; zoneout works for every cell"
        )


def dropped(weights: Mapping[str, Tensor], names: Iterable[str], rate: float) -> dict[str, Tensor]:
    r"""The weights of one forward pass: of some matrices, single entries are dropped.

    $$W \leftarrow \frac{M}{1 - rate} \odot W, \quad M \sim \text{Bernoulli}(1 - rate)$$

    The mask holds for the whole sequence and for every row. The parameters stay what they
    are; where an entry is dropped its gradient is zero.
    """
    return {**weights, **{name: dropout(weights[name], rate) for name in names}}
