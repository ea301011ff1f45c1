"""One command in several processes, on one machine or on several."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Sequence

from cellwright.errors import SettingError

__all__ = ["together"]


def together(devices: int, nodes: int, rendezvous: str | None) -> None:
    """Give this command again to torchrun, so that so many processes carry it out.

    Returns where this process is one of them already; else it ends with them.

    Parameters
    ----------
    devices
        Processes on this machine.
    nodes
        Machines, on each of which the same command is given.
    rendezvous
        Where they meet, ``HOST:PORT``.

    Raises
    ------
    SettingError
        Several machines have no place to meet.
    """
    if "WORLD_SIZE" in os.environ:
        return
    place = ["--standalone"]
    if nodes > 1:
        if rendezvous is None:
            raise SettingError("--nodes wants --rendezvous HOST:PORT, the same on each machine")
        place = ["--nnodes", str(nodes), "--rdzv-backend", "c10d", "--rdzv-endpoint", rendezvous]
    # Cores are shared out as well; torchrun would say at length that it gives each process one.
    share = max(1, (os.cpu_count() or 1) // devices)
    os.environ.setdefault("OMP_NUM_THREADS", str(share))
    words = [*place, "--nproc-per-node", str(devices), "--no-python", *sys.argv]
    raise SystemExit(_torchrun(words))


def _torchrun(words: Sequence[str]) -> int:
    """Be torchrun, but one that leaves the talking to its processes; returns their status."""
    # Torch takes a second to import, which a command in one process does without.
    from torch.distributed.elastic.multiprocessing import SignalException  # noqa: PLC0415
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError  # noqa: PLC0415
    from torch.distributed.run import main  # noqa: PLC0415

    logging.disable(logging.ERROR)
    try:
        main(list(words))
    except ChildFailedError as error:
        _, failure = error.get_first_failure()
        return failure.exitcode if failure.exitcode > 0 else 128 - failure.exitcode
    except SignalException as error:
        return 128 + error.sigval
    return 0
