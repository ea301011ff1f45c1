"""The same cells for JAX: one step each, for jax.lax.scan over the hoisted input product.

JAX is imported when it is used. Weights are packed as for `peers.loops`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor

from peers.timing import Candidate

__all__ = ["training_step"]


def _steps() -> dict[str, Callable[..., Any]]:
    """Name -> step(weights, carry, input product) -> carry; the first of the carry is h."""
    import jax.numpy as jnp  # noqa: PLC0415 an optional peer
    from jax.nn import sigmoid  # noqa: PLC0415

    def peephole_lstm(w: Any, carry: Any, from_x: Any) -> Any:
        h, c = carry
        i_peep, f_peep, o_peep = jnp.split(w["peep"], 3)
        i, f, g, o = jnp.split(from_x + h @ w["hidden"].T, 4, 1)
        c = sigmoid(f + f_peep * c) * c + sigmoid(i + i_peep * c) * jnp.tanh(g)
        return sigmoid(o + o_peep * c) * jnp.tanh(c), c

    def coupled_lstm(w: Any, carry: Any, from_x: Any) -> Any:
        h, c = carry
        f, g, o = jnp.split(from_x + h @ w["hidden"].T, 3, 1)
        f = sigmoid(f)
        c = f * c + (1 - f) * jnp.tanh(g)
        return sigmoid(o) * jnp.tanh(c), c

    def gru(w: Any, carry: Any, from_x: Any) -> Any:
        (h,) = carry
        r, z, n = jnp.split(from_x, 3, 1)
        r_h, z_h, n_h = jnp.split(h @ w["hidden"].T, 3, 1)
        z = sigmoid(z + z_h)
        n = jnp.tanh(n + sigmoid(r + r_h) * (n_h + w["m_bias"]))
        return ((1 - z) * n + z * h,)

    def gru_reset_before(w: Any, carry: Any, from_x: Any) -> Any:
        (h,) = carry
        size = h.shape[1]
        r, z = jnp.split(sigmoid(from_x[:, : 2 * size] + h @ w["hidden"].T), 2, 1)
        n = jnp.tanh(from_x[:, 2 * size :] + (r * h) @ w["candidate"].T)
        return ((1 - z) * n + z * h,)

    return {step.__name__: step for step in (peephole_lstm, coupled_lstm, gru, gru_reset_before)}


def training_step(cell: str, x: Tensor, weights: dict[str, Tensor], grad: Tensor) -> Candidate:
    """Forward and backward under jit, all gradients, for a fixed gradient of the output."""
    import jax  # noqa: PLC0415 an optional peer
    import jax.numpy as jnp  # noqa: PLC0415

    jax.config.update("jax_platforms", "cpu")
    step = _steps()[cell]
    states = 2 if cell.endswith("lstm") else 1

    def forward(x: Any, w: Any) -> Any:
        zero = jnp.zeros((x.shape[1], w["hidden"].shape[1]), x.dtype)

        def advance(carry: Any, from_x: Any) -> Any:
            carry = step(w, carry, from_x)
            return carry, carry[0]

        return jax.lax.scan(advance, (zero,) * states, x @ w["input"].T + w["bias"])[1]

    @jax.jit
    def both(x: Any, w: Any, grad: Any) -> Any:
        # Like value_and_grad, for an output that is not one number.
        output, backward = jax.vjp(forward, x, w)
        return output, backward(grad)

    arrays = jnp.asarray(x.numpy()), {n: jnp.asarray(v.numpy()) for n, v in weights.items()}
    given = jnp.asarray(grad.numpy())

    def call() -> Any:
        return jax.block_until_ready(both(*arrays, given))

    def read(result: Any) -> dict[str, Tensor]:
        output, (of_x, of_weights) = result
        named = {"output": output, "gradient of x": of_x}
        named |= {f"gradient of {name}": value for name, value in of_weights.items()}
        return {name: torch.from_numpy(np.array(value)) for name, value in named.items()}

    return Candidate(call, read)
