"""Draw the picture of the rooms for docs/architecture.md from the layers in pyproject.toml.

python docs/figures/draw_layers.py
"""

import re
from html import escape
from pathlib import Path

PICTURE = Path(__file__).with_name("layers.svg")
PROJECT = Path(__file__).parents[2] / "pyproject.toml"
WORDS = {
    "cli": "the command line",
    "jobs": "fit, predict, score, save, load",
    "exchange": "layers of torch, Keras and ONNX",
    "look": "recorded signals, pictures",
    "data": "readers, checks, batches",
    "text": "vocabularies",
    "models": "networks made of nn",
    "nn": "Recurrent, LSTM, GRU, RNN",
    "pipeline": "from a graph to a kernel",
    "backends": "what runs a graph",
    "plan": "what is done when, and kept where",
    "autodiff": "the gradient of a step, as a graph",
    "cells": "the language, the tracer, the zoo",
    "ir": "nodes, ops, rules, formulas",
    "toolchain": "C++ to libraries, kept",
    "settings": "every setting",
    "storage": "whole files",
    "arguments": "what is a number",
    "errors": "every exception",
}
WIDTH, HEIGHT, GAP = 620, 40, 10


def main() -> None:
    """Write the picture."""
    PICTURE.write_text(drawing(), encoding="utf-8")


def layers() -> list[list[str]]:
    """The rooms from the top, those of one layer side by side; `__main__` is a door and no room."""
    listed = re.search(r"^layers = \[(.*?)\]", PROJECT.read_text("utf-8"), re.M | re.S)
    assert listed is not None
    rows = re.findall(r'"(.*?)"', listed[1])
    found = [re.findall(r"cellwright\.([a-z]\w*)", row) for row in rows]
    return [rooms for rooms in found if rooms]


def drawing() -> str:
    """The picture as SVG, the top layer palest."""
    rows = layers()
    height = len(rows) * (HEIGHT + GAP) - GAP
    shapes = []
    for number, row in enumerate(rows):
        width = (WIDTH - GAP * (len(row) - 1)) / len(row)
        top = number * (HEIGHT + GAP)
        shade = 95 - 33 * number / (len(rows) - 1)
        for place, room in enumerate(row):
            left = place * (width + GAP)
            shapes.append(
                f'<rect x="{left:g}" y="{top}" width="{width:g}" height="{HEIGHT}" rx="6" '
                f'fill="hsl(222 48% {shade:.0f}%)"/>'
                f'<text x="{left + 16:g}" y="{top + 25}" font-weight="600">{escape(room)}</text>'
                f'<text x="{left + 104:g}" y="{top + 25}">{escape(WORDS[room])}</text>'
            )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" '
        f'font-family="system-ui, sans-serif" font-size="14" fill="#14213d">\n'
        + "\n".join(shapes)
        + "\n</svg>\n"
    )


if __name__ == "__main__":
    main()
