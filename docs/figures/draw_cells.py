"""Write the gallery of cells, docs/cells.md and a drawing for each cell, from the zoo itself.

python docs/figures/draw_cells.py
"""

from html import escape
from pathlib import Path

import cellwright as cw
from cellwright.cells.families import families

FOLDER = Path(__file__).with_name("cells")
PAGE = Path(__file__).parents[1] / "cells.md"
INPUTS, UNITS, OTHERS = 28, 128, 64
HEAD = f"""# The zoo

<!-- Written by docs/figures/draw_cells.py from the cells themselves; do not edit. -->

Every cell that comes with cellwright, as it is computed. Use one by its name, as in
`cw.Recurrent("{{example}}", 28, 128)`; `cellwright cells NAME` shows the same in a terminal, and
[`cw.explain`](api/look.md) says what it costs for given sizes.

**How to read the drawings.** They are made from the equations. The memory runs along the top,
from the step before on the left to the step after on the right; inputs come from below. A box is
learned: its matrices, a bias, and the function written in it (W: none), with the author's name for
its value. Amber boxes are sigmoids. A circle computes unit by unit: × multiplies, + adds, and a
mark beside an arrow says if it is subtracted (−) or divides (÷). A bar joins values that several
boxes read side by side, as a thick line. A dashed line is scaled by a learned vector, as a
peephole is. LN is layer normalisation. A number too long for its circle is rounded to four digits;
the equations have it in full.

**How to read the numbers.** I is the number of inputs, H that of units; the number beside each
formula is for I = {INPUTS} and H = {UNITS}, and {OTHERS} for a size of the cell's own. A *gate*
lies between 0 and 1 by its equation and multiplies something. With torch's two biases, two layers
of 128 LSTM units that read 65 characters and a readout that predicts them have

```python
>>> import cellwright as cw
>>> layers = [cw.explain("lstm", size, 128, biases=2).parameter_count for size in (65, 128)]
>>> sum(layers) + 128 * 65 + 65
240321
```
"""


def main() -> None:
    """Write the page and the drawings."""
    FOLDER.mkdir(exist_ok=True)
    drawings = {f"{name}.svg": drawing(name) for name in cw.cells.names()}
    for old in FOLDER.glob("*.svg"):
        if old.name not in drawings:
            old.unlink()
    for name, text in drawings.items():
        (FOLDER / name).write_text(text, encoding="utf-8")
    PAGE.write_text(page(), encoding="utf-8")


def drawing(name: str) -> str:
    """The drawing of one cell as a file."""
    return cw.look.diagram(name, standalone=True) + "\n"


def page() -> str:
    """The page as Markdown."""
    parts = [HEAD.format(example=cw.cells.names()[0])]
    for heading, names in families().items():
        parts.append(f"## {heading}\n")
        parts += map(section, names)
    return "\n".join(parts)


def section(name: str) -> str:
    """What the page says about one cell."""
    own = dict.fromkeys(cw.cells.get(name).graph.symbols, OTHERS)
    found = cw.explain(name, INPUTS, UNITS, own)
    states = ", ".join(f"`{state}`" for state in found.states)
    gates = ", ".join(f"`{gate}`" for gate in found.gates) or "none"
    masked = sum(found.left_out.values())
    of_which = f", of which masks leave out {masked:,}" if masked else ""
    citation = escape(found.citation, quote=False)
    return f"""### {name}

{escape(found.summary, quote=False)}

{citation}

![Drawing of the cell {name}](figures/cells/{name}.svg){{ .cell }}

$$
\\begin{{aligned}}
{found.latex}
\\end{{aligned}}
$$

| states | gates | parameters |
|---|---|---|
| {states} | {gates} | {found.parameter_formula} = {found.parameter_count:,}{of_which} |
"""


if __name__ == "__main__":
    main()
