"""What importing cellwright costs beside importing torch, each in fresh processes.

python benchmarks/import_time.py [--runs 9]
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
from pathlib import Path

STATEMENTS = {
    "torch": "import torch",
    "cellwright": "import torch, cellwright",
    "cellwright.LSTM": "import torch, cellwright; cellwright.LSTM",
    "cellwright.SequenceClassifier": "import torch, cellwright; cellwright.SequenceClassifier",
}
TIMED = "import time; start = time.perf_counter(); {}; print(time.perf_counter() - start)"


def main() -> None:
    """Interleave, take medians, print and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=9)
    parser.add_argument("--out", type=Path, default=Path(__file__).with_suffix(".json"))
    arguments = parser.parse_args()
    seconds: dict[str, list[float]] = {name: [] for name in STATEMENTS}
    for _ in range(arguments.runs):
        for name, statement in STATEMENTS.items():
            run = [sys.executable, "-c", TIMED.format(statement)]
            printed = subprocess.run(run, check=True, capture_output=True, text=True).stdout
            seconds[name].append(float(printed))
    medians = {name: statistics.median(values) for name, values in seconds.items()}
    print("| import | seconds (median) | beyond torch |\n|---|---|---|")
    for name, median in medians.items():
        print(f"| {name} | {median:.3f} | {median - medians['torch']:+.3f} |")
    arguments.out.write_text(json.dumps(medians, indent=2) + "\n")


if __name__ == "__main__":
    main()
