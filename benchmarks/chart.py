"""The chart and the table of the README, from the JSON that benchmarks/cpu.py wrote.

    python benchmarks/chart.py [--json FILE] [--chart FILE] [--readme [FILE]]

Prints the table; with --readme also puts it between the two comments
`<!-- benchmark:cpu -->` and `<!-- /benchmark:cpu -->` of a page.
"""

from __future__ import annotations

import argparse
import json
import re
import statistics
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib as mpl

mpl.use("agg")
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, NullLocator

HERE = Path(__file__).parent
OPENS, CLOSES = "<!-- benchmark:cpu -->", "<!-- /benchmark:cpu -->"
AGAINST = "against "
# Read well on white and on near black, which the picture does not know.
INK, FASTER, SLOWER = "#7d8590", "#3d8bd4", "#d9822b"
ROW, HEADROOM, MARGIN = 0.27, 0.85, 0.55


@dataclass(frozen=True)
class Bar:
    """How many times as long a peer takes: one number for each shape or cell."""

    peer: str
    values: list[float]

    @property
    def mean(self) -> float:
        """Geometric."""
        return statistics.geometric_mean(self.values)


def main() -> None:
    """Draw, print, and write into a page if asked."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", type=Path, default=HERE / "cpu.json")
    parser.add_argument("--chart", type=Path, default=HERE.parent / "docs/figures/cpu.svg")
    parser.add_argument("--readme", type=Path, nargs="?", const=HERE.parent / "README.md")
    arguments = parser.parse_args()
    content = json.loads(arguments.json.read_text("utf-8"))
    draw(groups(content), arguments.chart)
    shown = markdown(content)
    print(shown)
    if arguments.readme:
        page = replaced(arguments.readme.read_text("utf-8"), shown)
        arguments.readme.write_text(page, encoding="utf-8")


def groups(content: dict[str, Any]) -> dict[str, list[Bar]]:
    """Section -> its peers."""
    found: dict[str, list[Bar]] = {}
    for section in content["sections"]:
        bars: dict[str, list[float]] = {}
        for row in section["rows"]:
            for claim in row["claims"]:
                if claim["what"].startswith(AGAINST):
                    peer = claim["what"].removeprefix(AGAINST)
                    bars.setdefault(peer, []).append(claim["value"])
        if bars:
            found[section["title"]] = [Bar(peer, values) for peer, values in bars.items()]
    return found


def draw(found: dict[str, list[Bar]], path: Path) -> None:
    """Horizontal bars from 1, on a logarithmic axis, a dot for every shape or cell."""
    rows = sum(len(bars) + 1.6 for bars in found.values())
    height = rows * ROW + HEADROOM + MARGIN
    figure = Figure(figsize=(8.6, height), facecolor="none")
    axes = figure.add_axes(
        (0.32, MARGIN / height, 0.6, 1 - (HEADROOM + MARGIN) / height), facecolor="none"
    )
    axes.set_xscale("log")
    place = 0.0
    for title, bars in found.items():
        where = axes.get_yaxis_transform()
        axes.text(
            -0.5, place, title, transform=where, color=INK, size=10, weight="bold", va="center"
        )
        for number, bar in enumerate(bars, start=1):
            draw_bar(axes, place + number, bar)
        place += len(bars) + 1.6
    axes.set_ylim(place - 0.8, -0.8)
    finish(axes, [value for bars in found.values() for bar in bars for value in bar.values])
    figure.text(
        *(0.02, 1 - 0.3 / height),
        "How many times as long the peers take as cellwright",
        **{"color": INK, "size": 13, "weight": "bold", "va": "center"},
    )
    figure.text(
        *(0.02, 1 - 0.58 / height),
        "bar: geometric mean · dots: every shape or cell · right of the line cellwright is faster",
        **{"color": INK, "size": 9, "va": "center"},
    )
    with mpl.rc_context({"svg.fonttype": "none", "svg.hashsalt": "cellwright"}):
        plain = {"Date": None, "Creator": None} if path.suffix == ".svg" else {}
        figure.savefig(path, metadata=plain, transparent=True, dpi=150)


def draw_bar(axes: Axes, place: float, bar: Bar) -> None:
    color = FASTER if bar.mean >= 1 else SLOWER
    axes.barh(place, bar.mean - 1, left=1, height=0.62, color=color, alpha=0.6, linewidth=0)
    if len(bar.values) > 1:
        axes.scatter(bar.values, [place] * len(bar.values), s=14, color=INK, zorder=3, linewidth=0)
    inside = axes.get_yaxis_transform()
    axes.text(-0.02, place, bar.peer, transform=inside, ha="right", va="center", color=INK, size=9)
    number = f"{bar.mean:.1f}×" if bar.mean >= 10 else f"{bar.mean:.2f}×"
    axes.text(
        1.02, place, number, transform=inside, va="center", color=color, size=9, weight="bold"
    )


def finish(axes: Axes, values: list[float]) -> None:
    """The line at 1 and a quiet axis."""
    axes.axvline(1, color=INK, linewidth=1.2)
    low, high = min([*values, 0.8]), max([*values, 2.5])
    axes.set_xlim(low / 1.1, high * 1.1)
    ticks = (0.05, 0.1, 0.2, 0.5, 1, 2, 3, 5, 10, 20, 50, 100)
    axes.set_xticks([tick for tick in ticks if low / 1.1 <= tick <= high * 1.1])
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}×"))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set_yticks([])
    axes.tick_params(axis="x", colors=INK, labelsize=9)
    axes.grid(axis="x", color=INK, alpha=0.25, linewidth=0.6)
    for spine in axes.spines.values():
        spine.set_visible(False)


def markdown(content: dict[str, Any]) -> str:
    """Where it was measured, and everything that was asked."""
    machine, options = content["machine"], content["options"]
    versions = {name: v for name, v in machine["versions"].items() if v and name != "cellwright"}
    where = (
        f"Measured with `python benchmarks/cpu.py{' --quick' * options['quick']}` on "
        f"{machine['cpu']}, {machine['torch_threads']} threads, in float32 "
        f"({', '.join(f'{name} {version}' for name, version in versions.items())})."
    )
    lines = ["| | measured | asked | |", "|---|---|---|---|"]
    lines += [f"| {' | '.join(line.values())} |" for line in content["summary"]]
    return "\n".join([where, "", *lines])


def replaced(page: str, shown: str) -> str:
    """The page with something else between its two comments."""
    between = re.compile(f"{re.escape(OPENS)}.*?{re.escape(CLOSES)}", re.DOTALL)
    if len(between.findall(page)) != 1:
        raise SystemExit(f"the page needs one {OPENS} … {CLOSES}")
    return between.sub(lambda _: f"{OPENS}\n{shown}\n{CLOSES}", page)


if __name__ == "__main__":
    main()
