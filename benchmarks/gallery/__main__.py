"""Run the gallery's recipes and print its table; `make gallery` does all of them.

    python -m gallery [--only TEXT …] [--list]        (in the folder benchmarks)

Results are kept in gallery.json, a recipe at a time, so that a run that is interrupted has not
been for nothing; a recipe whose data are not there is left out, and said to be.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import time
from importlib import import_module
from pathlib import Path
from typing import Any

import torch

from cellwright.storage import replace_file
from gallery.recipe import Recipe, data_folder

HERE = Path(__file__).parent
RESULTS = HERE.with_suffix(".json")
PAGES = HERE.parents[1] / "docs" / "gallery"
README = HERE.parents[1] / "README.md"


def main() -> None:
    """Run what is asked for, and print the table of everything that is known."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--only", nargs="+", default=[""], help="recipes whose job or name has this"
    )
    parser.add_argument("--list", action="store_true", help="only say what there is")
    arguments = parser.parse_args()
    results = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    for recipe in recipes():
        key = f"{recipe.job}: {recipe.name}"
        if not any(text in key for text in arguments.only):
            continue
        if arguments.list:
            print(f"{key}   {recipe.setting}   about {recipe.minutes:g} min a seed")
        elif recipe.folder is not None and not data_folder(recipe.folder).exists():
            print(f"{key}: no data in {data_folder(recipe.folder)}, left out", flush=True)
        else:
            results[key] = run(key, recipe)
            replace_file(RESULTS, json.dumps(results, indent=1) + "\n")
    print(table(results))
    if results and not arguments.list:
        write_pages(results)


def write_pages(results: dict[str, Any]) -> None:
    """Put the table where the documentation shows it, each job's part on its own page."""
    for page in (*PAGES.glob("*.md"), README):
        text = page.read_text(encoding="utf-8")
        before, begin, rest = text.partition("<!-- results -->\n")
        _, end, after = rest.partition("<!-- end of results -->")
        every = page == README or page.stem == "index"
        mine = {
            key: each
            for key, each in results.items()
            if every or key.partition(":")[0] == page.stem
        }
        if end and mine:
            made = short_table(mine) if page == README else table(mine)
            replace_file(page, f"{before}{begin}{made}\n{end}{after}")


def recipes() -> list[Recipe]:
    """Everything that the modules of this folder offer."""
    names = sorted(path.stem for path in HERE.glob("*.py") if path.stem not in ("recipe",))
    modules = [import_module(f"gallery.{name}") for name in names if not name.startswith("__")]
    return [recipe for module in modules for recipe in module.RECIPES]


def run(key: str, recipe: Recipe) -> dict[str, Any]:
    """One recipe with all its seeds."""
    found, seconds, worked = [], [], []
    for seed in recipe.seeds:
        start, work = time.perf_counter(), time.process_time()
        found.append(dict(recipe.run(seed)))
        seconds.append(time.perf_counter() - start)
        worked.append(time.process_time() - work)
        print(
            f"{key}, seed {seed}: {found[-1]}, {seconds[-1]:.0f} s, {worked[-1]:.0f} s of a core",
            flush=True,
        )
    value = statistics.mean(each[recipe.measure] for each in found)
    return {
        "setting": recipe.setting,
        "measure": recipe.measure,
        "value": value,
        "asked": recipe.asked,
        "reached": recipe.reached(value),
        "published": recipe.published,
        "seeds": list(recipe.seeds),
        "runs": found,
        "seconds": [round(each, 1) for each in seconds],
        "processor seconds": [round(each, 1) for each in worked],
        "threads": torch.get_num_threads(),
        "load": round(os.getloadavg()[0], 2),
    }


def table(results: dict[str, Any]) -> str:
    """The table, for people."""
    columns = ("recipe", "measure", "reached", "asked", "", "seeds", "weights")
    columns += ("minutes of one core", "published")
    lines = [f"| {' | '.join(columns)} |", "|---" * len(columns) + "|"]
    for key, each in sorted(results.items()):
        found = [run[each["measure"]] for run in each["runs"]]
        value = f"{each['value']:.4g}"
        if len(found) > 1:
            value += f" ({min(found):.4g} to {max(found):.4g})"
        minutes = statistics.mean(each["processor seconds"]) / 60
        cells = (
            f"{key}: {each['setting']}".replace("|", "\\|"),
            each["measure"],
            value,
            f"{each['asked']:g}",
            "reached" if each["reached"] else "not reached",
            ", ".join(map(str, each["seeds"])),
            f"{each['runs'][0]['parameters']:,.0f}",
            f"{minutes:.1f}",
            each["published"],
        )
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def short_table(results: dict[str, Any]) -> str:
    """A line a recipe: what was reached of what was asked."""
    lines = ["| | on | reached | asked | seeds |", "|---|---|---|---|---|"]
    for key, each in sorted(results.items()):
        job, _, name = key.partition(": ")
        reached = (
            f"{each['measure']} {each['value']:.4g}{'' if each['reached'] else ' (not reached)'}"
        )
        lines.append(
            f"| `fit {job}` | {name} | {reached} | {each['asked']:g} | {len(each['seeds'])} |"
        )
    return "\n".join(lines)


if __name__ == "__main__":
    main()
