"""Several processes that train one network, each on its share of every batch.

They are started by torchrun, or by ``--devices``, which calls it. The gradient of a batch is the
sum of what each process found on its rows, weighted by the answers that count there: the steps
are those of a single process, but for the rounding of the sum, and for random draws, which
every process makes for itself.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import distributed, nn

from cellwright.errors import SettingError
from cellwright.jobs.training.examples import Divisible, Epoch
from cellwright.jobs.training.ranks import count_wanted

__all__ = ["Processes"]


class Processes:
    """The processes of one training; mostly there is one.

    Attributes
    ----------
    count
        How many there are.
    rank
        Which of them this is, from 0.
    """

    def __init__(self, count: int, rank: int) -> None:
        self.count, self.rank = count, rank

    @staticmethod
    def join(device: torch.device) -> Processes:
        """Meet the others, if torchrun has started any."""
        if count_wanted() == 1:
            return Processes(1, 0)
        if device.type == "cuda":
            torch.cuda.set_device(device)  # through which they meet
        if not distributed.is_initialized():
            distributed.init_process_group("nccl" if device.type == "cuda" else "gloo")
        return Processes(distributed.get_world_size(), distributed.get_rank())

    def batches(self, examples: Epoch, order: npt.NDArray[np.int64], size: int) -> Iterator[Any]:
        """A process's part of every batch, None where it has no row of the last one.

        Rows are dealt out one by one; examples whose rows hang together divide themselves.

        Raises
        ------
        SettingError
            They cannot be shared out.
        """
        if self.count == 1:
            return examples.batches(size, order)
        if isinstance(examples, Divisible):
            return examples.of_process(self.rank, self.count).batches(size, order)
        mine, share, count = self.share(order, size)
        return self.all_of(examples.batches(share, mine), count)

    def share(
        self, order: npt.NDArray[np.int64], size: int
    ) -> tuple[npt.NDArray[np.int64], int, int]:
        """The rows of this process in order, how many of them are a batch, and the batches.

        Raises
        ------
        SettingError
            A batch cannot be shared out evenly.
        """
        count = -(-len(order) // size)
        if size % self.count:
            raise SettingError(
                f"batch_size={size} cannot be shared evenly by {self.count} processes"
            )
        batches = [order[start : start + size] for start in range(0, len(order), size)]
        mine = np.concatenate([batch[self.rank :: self.count] for batch in batches])
        return mine, size // self.count, count

    def all_of(self, batches: Iterable[Any], count: int) -> Iterator[Any]:
        """So many batches; None for the last one where this process has no row of it."""
        found = 0
        for batch in batches:
            found += 1
            yield batch
        for _ in range(found, count):
            yield None

    def share_of_answers(self, answers: int, device: torch.device) -> float:
        """Which part of the answers of the whole batch this process has."""
        if self.count == 1:
            return 1.0
        total = torch.tensor(float(answers), dtype=torch.float64, device=device)
        distributed.all_reduce(total)
        return answers / max(1.0, float(total))

    def sum_gradients(self, network: nn.Module) -> None:
        """Give every process the sum of all gradients; a gradient that is missing is zero."""
        if self.count == 1:
            return
        wanted = [weight for weight in network.parameters() if weight.requires_grad]
        for weight in wanted:
            if weight.grad is None:
                weight.grad = torch.zeros_like(weight)
        flat = torch.cat([weight.grad.flatten() for weight in wanted if weight.grad is not None])
        distributed.all_reduce(flat)
        start = 0
        for weight in wanted:
            weight.grad = flat[start : start + weight.numel()].view_as(weight)
            start += weight.numel()

    def total(self, answers: int, sums: Mapping[str, float]) -> tuple[int, dict[str, float]]:
        """Answers and sums of all processes together, whichever of them have any."""
        if self.count == 1:
            return answers, dict(sums)
        found: list[Any] = [None] * self.count
        distributed.all_gather_object(found, (answers, dict(sums)))
        names = dict.fromkeys(name for _, part in found for name in part)
        total = {name: sum(part.get(name, 0.0) for _, part in found) for name in names}
        return sum(number for number, _ in found), total

    def wait(self) -> None:
        """Go on when all have come here."""
        if self.count > 1:
            distributed.barrier()
