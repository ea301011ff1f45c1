"""The weights of one cell in one direction."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from cellwright.backends import Weights, check_weights
from cellwright.errors import SettingError
from cellwright.ir import Graph, units_of, weight_shapes
from cellwright.nn.initialization import Initialization
from cellwright.nn.once import computed_once
from cellwright.nn.stack import Direction, zero_states
from cellwright.nn.weight_drop import dropped, recurrent_matrices
from cellwright.pipeline import check_sizes

__all__ = ["Layer"]


class Layer(nn.Module):
    """The weights of one cell in one direction, named as in its equations.

    Parameters
    ----------
    graph
        The cell's equations.
    sizes
        Symbol -> number of units.
    reverse
        Whether it reads from the end.
    learn_initial_state
        Whether the states before the first step are weights too, ``initial_{state}``.
    device, dtype
        Where and in what precision the weights are made; `reset_parameters` fills them.
    """

    def __init__(
        self,
        graph: Graph,
        sizes: Mapping[str, int],
        *,
        reverse: bool,
        learn_initial_state: bool,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        check_sizes(graph, sizes)
        self.graph = graph
        self.sizes = dict(sizes)
        self._names = tuple(graph.weights)
        self.reverse = reverse
        self.recurrent_matrices = recurrent_matrices(graph)
        self.learned = tuple(graph.state_sizes) if learn_initial_state else ()
        shapes = weight_shapes(graph, sizes)
        for state in self.learned:
            if f"initial_{state}" in shapes:
                raise SettingError(f"cell {graph.name!r} has a weight 'initial_{state}' already")
            shapes[f"initial_{state}"] = (self.units(graph.state_sizes[state]),)
        for name, shape in shapes.items():
            # Set directly: an equation may use a name that nn.Module has taken, such as "half".
            self._parameters[name] = nn.Parameter(torch.empty(shape, device=device, dtype=dtype))

    def units(self, size: object) -> int:
        """Number of units of a size."""
        return units_of(size, self.sizes)

    def reset_parameters(self, initialization: Initialization) -> None:
        """Start all weights anew; learned first states at zero."""
        if any(weight.is_meta for weight in self.parameters()):
            return
        initialization.apply(self.graph, self._weights(self.graph.weights), self.sizes)
        for weight in self._initial().values():
            nn.init.zeros_(weight)

    def forward(self) -> dict[str, Tensor]:
        """The weights as they are now, in the order of the equations; a stack runs them."""
        return self._weights(self.graph.weights)

    def direction(self, weight_drop: float = 0.0) -> Direction:
        """What a stack runs; `weight_drop` of the recurrent weights is left out of this pass."""
        weights = self._now()
        if weight_drop:
            weights = dropped(weights, self.recurrent_matrices, weight_drop)
        return Direction(self.graph, self.sizes, weights, self.reverse)

    def blocks(self) -> list[Tensor]:
        """The weights as they are now, in the order of the equations."""
        known: Any = self._parameters
        if not (self._forward_pre_hooks or self._forward_hooks):
            try:
                return [known[name] for name in self._names]
            except KeyError:
                pass  # a parametrised weight, or one of a replica
        return list(self._now().values())

    def start(self, x: Tensor) -> dict[str, Tensor]:
        """States before the first step, for a batch like that of `x`, (T, B, n)."""
        states = zero_states(Direction(self.graph, self.sizes, {}, self.reverse), x)
        if not self.learned:
            return states
        learned = self._initial()
        shapes = {f"initial_{name}": (self.units(n),) for name, n in self.graph.state_sizes.items()}
        check_weights(Weights.of(learned), shapes, x.dtype, x.device)
        return states | {
            name.removeprefix("initial_"): weight.expand(x.shape[1], -1)
            for name, weight in learned.items()
        }

    def learned_states(self, rows: int) -> list[Tensor]:
        """The learned states before the first step, (B, n) each; none if none are learned."""
        if not self.learned:
            return []
        return [weight.expand(rows, -1) for weight in self._initial().values()]

    def extra_repr(self) -> str:
        """The cell's name and sizes."""
        sizes = ", ".join(f"{name}={units}" for name, units in self.sizes.items())
        return f"{self.graph.name}: {sizes}"

    def _now(self) -> dict[str, Tensor]:
        # Pruning and the older ways to normalise weights compute them in hooks of a call.
        hooks = self._forward_pre_hooks or self._forward_hooks
        found: dict[str, Tensor] = computed_once(self, "", self) if hooks else self.forward()
        return found

    def _initial(self) -> dict[str, Tensor]:
        return self._weights(f"initial_{state}" for state in self.learned)

    def _weights(self, names: Iterable[str]) -> dict[str, Tensor]:
        # A parametrised weight, and those of a replica, are attributes instead.
        known = self._parameters.get
        return {
            n: computed_once(self, n, partial(getattr, self, n)) if (w := known(n)) is None else w
            for n in names
        }
