"""cellwright on the CPU, beside its peers: one command, one table, one JSON.

    python benchmarks/cpu.py [--quick] [--only SECTION …] [--case TEXT] [--out FILE]

Ours and the peers are timed in turns in one run; ratios are medians of the peer's time over ours,
round by round. Before that their outputs and gradients are compared, and whatever disagrees is an
error. The weights count as changed before every training step, as they are in training. `--quick`
takes three minutes, with fewer rounds and, at the largest sizes, fewer steps. Peers are optional:
`pip install 'cellwright[benchmarks]'`.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path
from typing import Any

import torch
from peers.claims import Section
from peers.fma_peak import fma_peak
from peers.machine import BUSY, describe, others_now
from peers.report import asked, summary, table, write
from peers.sections import SECTIONS, ZOO
from peers.setting import Setting
from peers.timing import DisagreementError

from cellwright import cells, pipeline


def main() -> None:
    """Run, print and write."""
    arguments = parse()
    others = others_now()
    if not others <= BUSY and not arguments.busy_anyway:
        sys.exit(f"other processes use {others} cores; wait, or give --busy-anyway")
    if arguments.zoo and arguments.only:
        sys.exit("--zoo is a section of its own; give it without --only")
    setting = Setting(arguments.quick, arguments.case, arguments.max_steps)
    about = {
        "machine": describe(),
        "peak": fma_peak(torch.get_num_threads()),
        "backend": backend(),
        "options": {name: value for name, value in vars(arguments).items() if name != "out"},
        "cores_used_by_others_at_start": others,
    }
    print(heading(about), flush=True)
    sections: list[Section] = []
    offered = ZOO if arguments.zoo else SECTIONS
    for name in arguments.only or offered:
        start = time.perf_counter()
        try:
            sections.append(offered[name](setting))
        except DisagreementError as error:
            sys.exit(f"{name}: {error}")
        print(table(sections[-1], about["peak"]["gflops"]), flush=True)
        print(f"{name}: {time.perf_counter() - start:.0f} s", file=sys.stderr, flush=True)
    peak = about["peak"]["gflops"]
    print(f"\n## What was asked\n\n{summary(sections, peak)}", flush=True)
    about["seconds"] = round(time.perf_counter() - setting.started, 1)
    save(arguments, about, sections)


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="fewer rounds and steps")
    sections: dict[str, Any] = {"choices": SECTIONS, "help": ", ".join(SECTIONS)}
    parser.add_argument("--only", nargs="+", metavar="SECTION", **sections)
    parser.add_argument(
        "--zoo", action="store_true", help="every cell of the zoo, and nothing else"
    )
    parser.add_argument("--case", default="", help="only shapes and cells that contain this")
    parser.add_argument("--max-steps", type=int, help="shorten sequences, to try the benchmark")
    parser.add_argument("--busy-anyway", action="store_true", help="run on a busy machine")
    parser.add_argument("--out", type=Path, help="default: benchmarks/cpu.json, for a whole run")
    return parser.parse_args()


def backend() -> str:
    """What runs an LSTM here."""
    graph = pipeline.lower(cells.get("lstm").graph)
    return pipeline.choose(graph, "auto", torch.device("cpu"), torch.float32).name


def heading(about: dict[str, Any]) -> str:
    machine, peak = about["machine"], about["peak"]
    installed = {name: version or "not installed" for name, version in machine["versions"].items()}
    return "\n".join(
        [
            f"{machine['cpu']}, {machine['cores']} cores, {machine['torch_threads']} threads",
            ", ".join(f"{name} {version}" for name, version in installed.items()),
            f"cellwright's backend: {about['backend']}",
            f"peak: {peak['gflops']:.0f} GFLOP/s ({peak['how']})",
            f"other processes used {about['cores_used_by_others_at_start']} cores at the start",
        ]
    )


def save(arguments: argparse.Namespace, about: dict[str, Any], sections: list[Section]) -> None:
    partial = arguments.only or arguments.case or arguments.max_steps
    name = "zoo.json" if arguments.zoo else "cpu.json"
    out = arguments.out or (None if partial else Path(__file__).with_name(name))
    if out is None:
        print("a part of the benchmark: give --out to keep the numbers", file=sys.stderr)
    else:
        details = [section.as_json() for section in sections]
        lines = asked(sections, about["peak"]["gflops"])
        write(out, {**about, "summary": lines, "sections": details})


if __name__ == "__main__":
    main()
