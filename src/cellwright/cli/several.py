"""One command in several processes, on one machine or on several."""

from __future__ import annotations

import os
import sys

from cellwright.errors import SettingError

__all__ = ["together"]


def together(devices: int, nodes: int, rendezvous: str | None) -> None:
    """Give this command again to torchrun, so that so many processes carry it out.

    Returns where this process is one of them already; else it becomes torchrun.

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
    run = [sys.executable, "-m", "torch.distributed.run", *place]
    run += ["--nproc-per-node", str(devices), "--no-python", *sys.argv]
    # Cores are shared out as well; torchrun would say at length that it gives each process one.
    share = max(1, (os.cpu_count() or 1) // devices)
    sys.stdout.flush()
    os.execve(sys.executable, run, {"OMP_NUM_THREADS": str(share), **os.environ})
