"""MNIST row by row: the settings of the docs, several seeds, one table and one JSON.

    python benchmarks/mnist.py --data-dir FOLDER [--seeds 3] [--settings textbook …]

Each run is the command that docs/mnist.md shows, in a process of its own.
"""

from __future__ import annotations

import argparse
import json
import platform
import statistics
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import torch

# 28 inputs projected to 128, one LSTM layer of 128, linear to 10, batches of 128.
NETWORK = "--projection 128 --layers 128 --batch-size 128 --validation-fraction 0"
PLAIN = (
    f"{NETWORK} --optimizer adam --learning-rate 0.001 --schedule constant --weight-decay 0 "
    f"--gradient-clip none --scaling none --dropout 0 --label-smoothing 0"
)
SETTINGS = {
    "textbook": f"{PLAIN} --samples 100000",
    "ten epochs": f"{PLAIN} --epochs 10",
    "recommended": (
        f"{NETWORK} --epochs 12 --scaling global --weight-decay 0.1 --dropout 0.2 "
        f"--label-smoothing 0.1"
    ),
}
AT_LEAST = {"textbook": 0.945, "ten epochs": 0.980, "recommended": 0.988}


def main() -> None:
    """Run, print and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data-dir", required=True)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--settings", nargs="*", choices=SETTINGS, default=list(SETTINGS))
    parser.add_argument("--parallel", type=int, default=1, help="runs beside each other")
    parser.add_argument("--out", type=Path, default=Path(__file__).with_suffix(".json"))
    arguments = parser.parse_args()
    asked = [(name, seed) for name in arguments.settings for seed in range(arguments.seeds)]
    with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(arguments.parallel) as pool:
        results = list(pool.map(lambda run: one_run(*run, arguments.data_dir, Path(folder)), asked))
    rows = [summary(name, [r for r in results if r["setting"] == name]) for name in AT_LEAST]
    print_table([row for row in rows if row["accuracies"]])
    machine = {"python": platform.python_version(), "torch": torch.__version__}
    content = {"machine": machine, "rows": rows, "runs": results}
    arguments.out.write_text(json.dumps(content, indent=2) + "\n")


def one_run(name: str, seed: int, data_dir: str, folder: Path) -> dict[str, object]:
    """One setting with one seed."""
    out = folder / f"{name.replace(' ', '-')}-{seed}"
    command = f"fit classify --data mnist --data-dir {data_dir} {SETTINGS[name]} --seed {seed}"
    program = [sys.executable, "-c", "from cellwright.cli import main; main()"]
    run = [*program, *command.split(), "--out", str(out), "--json"]
    printed = subprocess.run(run, check=True, capture_output=True, text=True).stdout
    result = json.loads(printed.splitlines()[-1])
    del result["run"]  # a folder that is gone
    print(f"{name}, seed {seed}: {result['test']['accuracy']:.4f}", file=sys.stderr, flush=True)
    return {"setting": name, "seed": seed, "command": command.partition(" --data-dir")[0], **result}


def summary(name: str, runs: list[dict]) -> dict[str, object]:
    """What the runs of one setting have in common."""
    accuracies = [run["test"]["accuracy"] for run in runs]
    return {
        "setting": name,
        "options": SETTINGS[name],
        "accuracies": accuracies,
        "mean": statistics.mean(accuracies) if accuracies else None,
        "at_least": AT_LEAST[name],
        "median_seconds": statistics.median(run["seconds"] for run in runs) if runs else None,
    }


def print_table(rows: list[dict]) -> None:
    """As Markdown."""
    print(
        "| setting | test accuracy, each seed | mean | asked for | seconds |\n|---|---|---|---|---|"
    )
    for row in rows:
        shown = ", ".join(f"{accuracy:.4f}" for accuracy in row["accuracies"])
        met = "met" if min(row["accuracies"]) >= row["at_least"] else "missed"
        print(
            f"| {row['setting']} | {shown} | {row['mean']:.4f} | {row['at_least']:.3f}: {met} | "
            f"{row['median_seconds']:.0f} |"
        )


if __name__ == "__main__":
    main()
