"""Attention: which positions of a memory matter to a query, and what stands there.

Shapes: B batch, Q queries (the steps of a decoder, or the beams of a search), P positions of
the memory (words of a sentence, places of a picture).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, TypeAlias, get_args

import torch
from torch import Tensor, nn

from cellwright.backends import are_autocast
from cellwright.errors import SettingError, ShapeError, did_you_mean
from cellwright.nn.arguments import check_precision, check_tensor, whole
from cellwright.nn.ragged import active_steps
from cellwright.nn.stack import StackResult
from cellwright.nn.states import check_type

__all__ = ["Attended", "Attention", "AttentionKind", "Memory"]

AttentionKind: TypeAlias = Literal["general", "dot", "concat", "bahdanau"]

_ADDITIVE = ("concat", "bahdanau")


@dataclass(frozen=True)
class Memory:
    """What is attended to, with all that depends on it alone computed once.

    Attributes
    ----------
    values
        What is read, (B, P, memory); zero where a position does not exist.
    keys
        What queries are compared with, (B, P, units); the values themselves for "dot".
    active
        Which positions exist, (B, P); None if all do.
    """

    values: Tensor
    keys: Tensor
    active: Tensor | None = None

    def take(self, rows: Tensor) -> Memory:
        """The memories of these rows of the batch."""
        active = None if self.active is None else self.active[rows]
        return Memory(self.values[rows], self.keys[rows], active)


class Attended(NamedTuple):
    """What attention gives for each query.

    Attributes
    ----------
    context
        Mean of the values by weight, (B, Q, memory), or (B, memory) for a single query.
    weights
        How much each position counts, (B, Q, P), or (B, P): they sum to one, and are zero
        where a position does not exist.
    scores
        What the weights are the softmax of, laid out like them.
    """

    context: Tensor
    weights: Tensor
    scores: Tensor


class Attention(nn.Module):
    r"""Attention of queries over the positions of a memory.

    $$\alpha_p = \mathrm{softmax}_p(e(q, m_p)), \quad c = \sum_p \alpha_p m_p$$

    ============== ======================================= ==========================
    kind           $e(q, m)$                               source
    ============== ======================================= ==========================
    ``"dot"``      $q^\top m$                              Luong et al. 2015
    ``"general"``  $q^\top W m$                            Luong et al. 2015
    ``"concat"``   $v^\top \tanh(W [q; m])$                Luong et al. 2015
    ``"bahdanau"`` $v^\top \tanh(W q + U m + b)$           Bahdanau et al. 2015
    ============== ======================================= ==========================

    The last two are one formula but for the bias; what tells the papers apart is which query
    asks: the decoder's state after a step (Luong) or before it (Bahdanau). What depends on the
    memory alone, $W m$ or $U m$, is computed once for all queries.

    Parameters
    ----------
    query_size
        Features of a query.
    memory_size
        Features of the memory at each position.
    kind
        One of the table.
    units
        Units inside the tanh of the additive kinds; as many as a query has by default.
    device, dtype
        Where and in what precision the weights are made.

    Raises
    ------
    SettingError
        The kind is unknown, its sizes do not go together, or the weights cannot be of that type.

    Examples
    --------
    >>> import cellwright as cw, torch
    >>> attention = cw.Attention(6, 4, "general")
    >>> context, weights, _ = attention(torch.randn(2, 3, 6), torch.randn(2, 5, 4), [5, 2])
    >>> context.shape, weights.shape, weights[1, 0, 2:].tolist()
    (torch.Size([2, 3, 4]), torch.Size([2, 3, 5]), [0.0, 0.0, 0.0])

    For many queries one after another, as a decoder asks them, prepare the memory once:

    >>> memory = attention.prepare(torch.randn(2, 5, 4), [5, 2])
    >>> attention(torch.randn(2, 6), memory).context.shape
    torch.Size([2, 4])

    Its weights can be recorded like the signals of a cell:

    >>> tape = cw.record(attention, torch.randn(2, 3, 6), memory=memory)
    >>> tape[0]["weights"].shape
    torch.Size([2, 3, 5])
    """

    batch_first = True

    def __init__(
        self,
        query_size: int,
        memory_size: int,
        kind: AttentionKind = "general",
        *,
        units: int | None = None,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        known = get_args(AttentionKind)
        if kind not in known:
            raise SettingError(
                f"there is no attention {kind!r}; known: {', '.join(known)}."
                f"{did_you_mean(str(kind), known)}"
            )
        self.kind = kind
        self.query_size = whole("query_size", query_size)
        self.memory_size = whole("memory_size", memory_size)
        if units is not None and kind not in _ADDITIVE:
            raise SettingError(f"attention {kind!r} has no units of its own; leave units out")
        if kind == "dot" and query_size != memory_size:
            raise SettingError(
                f"attention 'dot' multiplies query and memory, so both must have as many "
                f"features; got {query_size} and {memory_size}. Use 'general'"
            )
        self.units = whole("units", units) if units is not None else self.query_size
        check_precision(dtype)
        place: dict[str, Any] = {"device": device, "dtype": dtype}
        if kind != "dot":
            self.key = nn.Linear(memory_size, self.units, bias=False, **place)
        if kind in _ADDITIVE:
            self.query = nn.Linear(query_size, self.units, bias=kind == "bahdanau", **place)
            self.value = nn.Parameter(torch.empty(self.units, **place))
        self.reset_parameters()

    @torch.no_grad()
    def reset_parameters(self) -> None:
        """Start all weights anew: matrices by Glorot and Bengio 2010, the bias at zero."""
        for name, weight in self.named_parameters():
            if weight.dim() == 2:
                nn.init.xavier_uniform_(weight)
            elif name == "value":
                nn.init.uniform_(weight, -(self.units**-0.5), self.units**-0.5)
            else:
                nn.init.zeros_(weight)

    def prepare(
        self,
        memory: Tensor,
        lengths: Tensor | Sequence[int] | None = None,
        mask: Tensor | None = None,
    ) -> Memory:
        """Compute what depends on the memory alone.

        Parameters
        ----------
        memory
            (B, P, memory).
        lengths
            Positions of each row that exist, (B,), zero allowed. What stands behind them
            counts for nothing, even if it is no number.
        mask
            Or: true where a position exists, (B, P).

        Raises
        ------
        ShapeError
            A shape or type does not fit; the message names argument and axis.
        """
        check_tensor("memory", memory)
        if memory.dim() != 3 or memory.shape[2] != self.memory_size:
            raise ShapeError(
                f"memory: expected (batch, positions, features={self.memory_size}), got "
                f"{tuple(memory.shape)}"
            )
        self._check_type("memory", memory, next(self.parameters(), memory))
        rows, positions = memory.shape[:2]
        active = active_steps(rows, positions, memory.device, lengths, mask, axis="positions")
        exists = None if active is None else active.T
        if exists is not None:
            # Before all else: zero times what is no number is no number either.
            memory = memory.where(exists.unsqueeze(2), memory.new_zeros(()))
        return Memory(memory, memory if self.kind == "dot" else self.key(memory), exists)

    def forward(
        self,
        query: Tensor,
        memory: Tensor | Memory,
        lengths: Tensor | Sequence[int] | None = None,
        mask: Tensor | None = None,
    ) -> Attended:
        """Attend.

        Parameters
        ----------
        query
            (B, Q, query), or (B, query) for a single one.
        memory
            What `prepare` gave, or (B, P, memory) with its lengths or mask.
        lengths, mask
            As for `prepare`.

        Returns
        -------
        Attended
            Context, weights and scores. A row whose memory has no positions gets zeros.

        Raises
        ------
        ShapeError
            A shape or type does not fit; the message names argument and axis.
        """
        if not isinstance(memory, Memory):
            memory = self.prepare(memory, lengths, mask)
        elif lengths is not None or mask is not None:
            raise ShapeError("the memory was prepared with its lengths; give none here")
        batch = len(memory.values)
        check_tensor("query", query)
        if query.dim() not in (2, 3) or query.shape[-1] != self.query_size or len(query) != batch:
            raise ShapeError(
                f"query: expected (batch={batch}, queries, features={self.query_size}) or "
                f"(batch={batch}, features={self.query_size}), got {tuple(query.shape)}"
            )
        self._check_type("query", query, memory.values)
        if query.dim() == 2:
            attended = self._attend(query.unsqueeze(1), memory)
            return Attended(*(value.squeeze(1) for value in attended))
        return self._attend(query, memory)

    def run(
        self,
        query: Tensor,
        state: None = None,
        *,
        memory: Tensor | Memory,
        lengths: Tensor | Sequence[int] | None = None,
        mask: Tensor | None = None,
        record: bool = False,
    ) -> StackResult:
        """What `cellwright.record` calls: attend, time first, with signals if asked.

        ``"weights"`` and ``"scores"`` have the positions in place of units.
        """
        attended = self(query if query.dim() == 3 else query.unsqueeze(1), memory, lengths, mask)
        signals = {name: value.transpose(0, 1) for name, value in attended._asdict().items()}
        return StackResult(signals["context"], [], [[signals]] if record else [])

    def extra_repr(self) -> str:
        """Sizes and kind."""
        return f"{self.query_size}, {self.memory_size}, {self.kind!r}"

    def _attend(self, query: Tensor, memory: Memory) -> Attended:
        scores = self._scores(query, memory.keys)
        if memory.active is None:
            weights = scores.softmax(-1)
        else:
            exists = memory.active.unsqueeze(1)
            # Not minus infinity, whose softmax has no value where nothing exists at all.
            low = scores.masked_fill(~exists, torch.finfo(scores.dtype).min)
            weights = low.softmax(-1).masked_fill(~exists, 0)
        return Attended(weights @ memory.values, weights, scores)

    def _check_type(self, name: str, value: Tensor, like: Tensor) -> None:
        if not value.is_floating_point():
            raise ShapeError(f"{name}: expected floating-point numbers, got {value.dtype}")
        # Autocast brings numbers of several precisions together itself.
        if not are_autocast(value.device):
            check_type(name, value, like)

    def _scores(self, query: Tensor, keys: Tensor) -> Tensor:
        if self.kind in _ADDITIVE:
            asked: Tensor = self.query(query)
            return (asked.unsqueeze(2) + keys.unsqueeze(1)).tanh() @ self.value
        return query @ keys.transpose(1, 2)
