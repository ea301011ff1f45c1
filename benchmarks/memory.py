"""What a training step over a long sequence takes, with and without checkpoint_every.

python benchmarks/memory.py [--steps 1000 10000 100000 1000000] [--runs 3]

One LSTM layer of 128 units, one sequence of 8 features in float32, the sum of all outputs as
loss; each run in a fresh process. Time is the processor's, on one thread, so that other work on the
machine counts little. Shows the greatest memory and the least time of all runs. Reads memory as
Linux tells it.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from pathlib import Path

FEATURES, UNITS, ALL = 8, 128, (1_000, 10_000, 100_000, 1_000_000)


def measure(steps: int, every: str) -> dict[str, float]:
    """Peak memory beyond what a few steps take, and CPU seconds, of one training step."""
    import torch  # noqa: PLC0415 the parent process stays small

    import cellwright as cw  # noqa: PLC0415

    torch.manual_seed(0)
    torch.set_num_threads(1)
    net = cw.Recurrent("lstm", FEATURES, UNITS, checkpoint_every=every if every == "auto" else None)
    # Compiles the kernel and starts what torch starts once.
    net(torch.randn(1, 100, FEATURES))[0].sum().backward()
    before = memory("VmRSS")
    Path("/proc/self/clear_refs").write_text("5")  # forgets the peak so far
    x = torch.randn(1, steps, FEATURES)
    start = time.process_time()
    y, _ = net(x)
    y.sum().backward()
    seconds = time.process_time() - start
    return {"MiB": memory("VmHWM") - before, "output MiB": y.nbytes / 2**20, "seconds": seconds}


def memory(name: str) -> float:
    """A line of this process's status, in MiB."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith(name)).split()[1]) / 1024


def best(steps: int, every: str, runs: int) -> dict[str, float]:
    """The greatest memory and the least time of some runs."""
    run = [sys.executable, __file__, "--steps", str(steps), "--child", every]
    found = [
        json.loads(subprocess.run(run, check=True, capture_output=True).stdout) for _ in range(runs)
    ]
    least = min(row["seconds"] for row in found)
    return {**max(found, key=lambda row: row["MiB"]), "seconds": least}


def main() -> None:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, nargs="+", default=ALL)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--child", choices=["auto", "None"], help=argparse.SUPPRESS)
    parser.add_argument("--out", type=Path, default=Path(__file__).with_suffix(".json"))
    arguments = parser.parse_args()
    if arguments.child:
        print(json.dumps(measure(arguments.steps[0], arguments.child)))
        return
    found = []
    print(
        "| steps | output, MiB | None, MiB | auto, MiB | None, s | auto, s |\n" + 6 * "|---" + "|"
    )
    for steps in arguments.steps:
        rows = {every: best(steps, every, arguments.runs) for every in ("None", "auto")}
        plain, auto = rows["None"], rows["auto"]
        print(
            f"| {steps:,} | {plain['output MiB']:.1f} | {plain['MiB']:.1f} | {auto['MiB']:.1f} "
            f"| {plain['seconds']:.2f} | {auto['seconds']:.2f} |",
            flush=True,
        )
        found.append({"steps": steps, **rows})
    arguments.out.write_text(json.dumps(found, indent=2) + "\n")


if __name__ == "__main__":
    main()
