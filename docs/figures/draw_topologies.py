"""Draw the five topologies of recurrent networks for docs/topologies.md.

python docs/figures/draw_topologies.py
"""

from dataclasses import dataclass
from html import escape
from pathlib import Path

FOLDER = Path(__file__).with_name("topologies")
STEP, WIDE, HIGH, ROW, MARGIN = 78, 46, 34, 72, 14
CAPTION = 74
COLOURS = {"input": "#64748b", "state": "#3b82f6", "output": "#d99000"}
FONT = "ui-sans-serif, system-ui, 'Segoe UI', 'DejaVu Sans', Helvetica, Arial, sans-serif"
DARK = "<style>svg{color:#1f2430}@media (prefers-color-scheme:dark){svg{color:#e3e6ee}}</style>"
ROWS = {"output": 0, "state": 1, "input": 2}


@dataclass(frozen=True)
class Topology:
    """Which steps have an input, and which an answer.

    Attributes
    ----------
    name
        What it is called.
    inputs, outputs
        What is read and told at each step; an empty text for nothing.
    feedback
        Whether the answer of a step is read at the next one.
    """

    name: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    feedback: bool = False


TOPOLOGIES = (
    Topology("one to one", ("x",), ("y",)),
    Topology("one to many", ("x", "", "", ""), ("y₁", "y₂", "y₃", "y₄"), feedback=True),
    Topology("many to one", ("x₁", "x₂", "x₃", "x₄"), ("", "", "", "y")),
    Topology(
        "many to many, delayed",
        ("x₁", "x₂", "x₃", "", ""),
        ("", "", "y₁", "y₂", "y₃"),
    ),
    Topology("many to many, synced", ("x₁", "x₂", "x₃", "x₄"), ("y₁", "y₂", "y₃", "y₄")),
)


def main() -> None:
    """Write the drawings."""
    FOLDER.mkdir(exist_ok=True)
    for name, text in drawings().items():
        (FOLDER / name).write_text(text, encoding="utf-8")


def drawings() -> dict[str, str]:
    """File name -> drawing."""
    return {f"{slug(each.name)}.svg": drawing(each) for each in TOPOLOGIES}


def slug(name: str) -> str:
    """A name as a file has it."""
    return name.replace(",", "").replace(" ", "-")


def drawing(topology: Topology) -> str:
    """A topology as SVG: time to the right, inputs below, answers above."""
    steps = len(topology.inputs)
    width = CAPTION + STEP * steps - (STEP - WIDE) + 2 * MARGIN
    height = 2 * ROW + HIGH + 2 * MARGIN
    parts = [caption(row) for row in ROWS]
    for step in range(steps):
        told, read = topology.outputs[step], topology.inputs[step]
        parts.append(box(step, "state", "h" if steps == 1 else f"h{'₁₂₃₄₅'[step]}"))
        if read:
            parts += [box(step, "input", read), up(step, "input")]
        if told:
            parts += [box(step, "output", told), up(step, "state")]
        if step:
            parts.append(along(step))
        if topology.feedback and step:
            parts.append(back(step))
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" role="img" viewBox="0 0 {width} {height}" '
            f'width="{width}" height="{height}" style="max-width:100%;height:auto" '
            f'font-family="{FONT}" font-size="15" fill="currentColor" text-anchor="middle">',
            f"<title>{escape(topology.name)}</title>",
            DARK,
            *parts,
            "</svg>\n",
        ]
    )


def middle(step: int, row: str) -> tuple[float, float]:
    """Where the box of a step stands."""
    x = MARGIN + CAPTION + STEP * step + WIDE / 2
    return x, MARGIN + ROWS[row] * ROW + HIGH / 2


def caption(row: str) -> str:
    """What a row is."""
    words = {"output": "answers", "state": "states", "input": "inputs"}[row]
    _, y = middle(0, row)
    return (
        f'<text x="{MARGIN}" y="{y + 4:g}" text-anchor="start" font-size="12" '
        f'fill-opacity="0.8">{words}</text>'
    )


def box(step: int, row: str, text: str) -> str:
    """A box with its text."""
    x, y = middle(step, row)
    colour = COLOURS[row]
    return (
        f'<rect x="{x - WIDE / 2:g}" y="{y - HIGH / 2:g}" width="{WIDE}" height="{HIGH}" rx="5" '
        f'fill="{colour}" fill-opacity="0.2" stroke="{colour}" stroke-width="1.4"/>'
        f'<text x="{x:g}" y="{y + 5:g}">{escape(text)}</text>'
    )


def up(step: int, row: str) -> str:
    """An arrow from a box to the one above."""
    x, y = middle(step, row)
    top = y - ROW + HIGH / 2
    return line(f"M{x:g} {y - HIGH / 2:g}V{top + 6:g}", (x, top), "up")


def along(step: int) -> str:
    """An arrow from the state before to this one."""
    x, y = middle(step, "state")
    left = x - WIDE / 2
    return line(f"M{left - STEP + WIDE:g} {y:g}H{left - 6:g}", (left, y), "right")


def back(step: int) -> str:
    """An arrow from the answer before to this state: what was told is read next."""
    x, y = middle(step - 1, "output")
    to, below = middle(step, "state")
    corner = x + STEP / 2
    left, tip = to - WIDE / 2, below - HIGH / 4
    path = f"M{x + WIDE / 2:g} {y:g}H{corner:g}V{tip:g}H{left - 6:g}"
    return line(path, (left, tip), "right", dashed=True)


def line(path: str, tip: tuple[float, float], to: str, *, dashed: bool = False) -> str:
    """A line that ends in an arrow."""
    x, y = tip
    head = f"M{x:g} {y:g}l-4 7h8z" if to == "up" else f"M{x:g} {y:g}l-7 -4v8z"
    dashes = ' stroke-dasharray="4 3"' if dashed else ""
    return (
        f'<path d="{path}" fill="none" stroke="currentColor" stroke-width="1.5"{dashes}/>'
        f'<path d="{head}"/>'
    )


if __name__ == "__main__":
    main()
