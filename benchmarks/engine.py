"""What the engine costs beside a training loop written by hand.

python benchmarks/engine.py [--rounds 9] [--processor] [--json benchmarks/engine.json]

One LSTM classifier, one data set, the same steps: once through the engine, as every estimator
trains, once through the shortest loop that does the same to the weights (batches by index, cross
entropy, clipped gradients, AdamW, a sum of losses to print). Both run on one thread, take turns,
and end with the same weights, which is checked. The loop has torch's default optimizer, or, as the
engine has, the fused one, which tells what the engine itself costs. Times are medians per step; in
brackets, how much longer the engine takes.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.nn.functional import cross_entropy
from torch.nn.utils import clip_grad_norm_

from cellwright.data import as_sequences
from cellwright.jobs.options import ClassifierOptions
from cellwright.jobs.options.base import validated
from cellwright.jobs.training.engine import train
from cellwright.jobs.training.examples import Examples
from cellwright.models import ClassifierNetwork

BATCH, STEPS, FEATURES, CLASSES = 32, 28, 28, 10
SIZES = {8: 1000, 16: 1000, 64: 400, 192: 100}
"""Units of the network -> steps of an epoch."""


def network(units: int) -> ClassifierNetwork:
    """The same weights each time."""
    torch.manual_seed(0)
    return ClassifierNetwork(FEATURES, CLASSES, cell="lstm", layers=[units])


def objective(net: torch.nn.Module, batch: Any) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
    """Mean cross entropy."""
    loss = cross_entropy(net(batch.x, batch.lengths), batch.targets)
    return loss, {"loss": loss.detach() * len(batch.rows)}


def by_engine(net: ClassifierNetwork, examples: Examples, options: dict[str, Any]) -> None:
    """One epoch, as any estimator's, of data that were checked before."""
    train(net, objective, examples, None, options)


def by_hand(
    net: ClassifierNetwork,
    examples: Examples,
    options: dict[str, Any],
    *,
    fused: bool | None = None,
) -> None:
    """The same epoch, as few lines as it takes, with the optimizer as torch makes it by default."""
    torch.set_num_threads(options["threads"])
    given, y = torch.from_numpy(examples.x.values), examples.targets
    matrices = [weight for weight in net.parameters() if weight.dim() > 1]
    vectors = [weight for weight in net.parameters() if weight.dim() <= 1]
    groups = [{"params": matrices}, {"params": vectors, "weight_decay": 0.0}]
    optimizer = torch.optim.AdamW(
        groups, lr=options["learning_rate"], weight_decay=options["weight_decay"], fused=fused
    )
    shuffle, noise = np.random.SeedSequence([options["random_state"], 0]).spawn(2)
    torch.manual_seed(int(noise.generate_state(1)[0]))
    order = torch.from_numpy(np.random.default_rng(shuffle).permutation(len(given)))
    net.train()
    total = 0.0
    for rows in order.split(options["batch_size"]):
        optimizer.zero_grad(set_to_none=True)
        loss = cross_entropy(net(given[rows]), y[rows])
        loss.backward()
        clip_grad_norm_(net.parameters(), options["gradient_clip"])
        optimizer.step()
        total += loss.item() * len(rows)


def compared(units: int, count: int, rounds: int, clock: Callable[[], float]) -> dict[str, Any]:
    """Microseconds of a step, both ways."""
    rng = np.random.default_rng(0)
    x = rng.standard_normal((BATCH * count, STEPS, FEATURES)).astype(np.float32)
    y = torch.from_numpy(rng.integers(CLASSES, size=len(x)))
    examples = Examples(as_sequences(x), y)
    options = validated(
        ClassifierOptions(epochs=1, batch_size=BATCH, schedule="constant", threads=1, patience=None)
    )
    ways = {
        "engine": by_engine,
        "by hand": by_hand,
        "by hand, fused": partial(by_hand, fused=True),
    }
    taken: dict[str, list[float]] = {name: [] for name in ways}
    for turn in range(rounds + 1):
        nets = {}
        for name, way in ways.items():
            nets[name] = network(units)
            start = clock()
            way(nets[name], examples, options)
            if turn:  # the first compiles
                taken[name].append((clock() - start) / count * 1e6)
        for weights in zip(*(net.parameters() for net in nets.values()), strict=True):
            for other in weights[1:]:
                torch.testing.assert_close(weights[0], other)
    found: dict[str, Any] = {"units": units, "steps": count}
    for name, each in taken.items():
        ratios = [a / b for a, b in zip(taken["engine"], each, strict=True)]
        found[name] = {
            "us": round(statistics.median(each), 1),
            "engine beyond it": round(statistics.median(ratios) - 1, 4),
        }
    return found


def main() -> None:
    """Print the table, and keep it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--processor", action="store_true", help="count only its own work")
    parser.add_argument("--json", type=Path, help="also write the figures there")
    arguments = parser.parse_args()
    load = os.getloadavg()[0]
    print(f"load {load:.2f}; LSTM classifier, batch {BATCH}, {STEPS} steps of {FEATURES}")
    clock = time.process_time if arguments.processor else time.perf_counter
    found = {}
    for units, count in SIZES.items():
        found[units] = row = compared(units, count, arguments.rounds, clock)
        print(
            f"{units:4} units: "
            + ", ".join(
                f"{way} {row[way]['us']:.0f} us ({100 * row[way]['engine beyond it']:+.1f} %)"
                for way in ("engine", "by hand", "by hand, fused")
            )
        )
    if arguments.json:
        arguments.json.write_text(json.dumps({"load": load, "rows": found}, indent=1) + "\n")


if __name__ == "__main__":
    main()
