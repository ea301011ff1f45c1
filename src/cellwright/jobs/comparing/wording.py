"""A comparison in words: the table as text and Markdown, and sentences."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cellwright.jobs.comparing.comparison import Comparison

__all__ = ["cells_of_table", "markdown", "number", "number_of", "sentences", "text_table"]


def number(value: float) -> str:
    """A number with four digits that matter, or four behind the point.

    Examples
    --------
    >>> [number(value) for value in (0.95, 0.000123456, 8.4526, 123456.0, float("nan"))]
    ['0.9500', '0.0001235', '8.4526', '123,456', '–']
    """
    if math.isnan(value):
        return "–"
    size = abs(value)
    if 0.001 <= size < 10 or value == 0:
        return f"{value:.4f}"
    return f"{value:,.0f}" if size >= 10_000 else f"{value:.4g}"


def cells_of_table(comparison: Comparison) -> tuple[list[str], list[list[str]]]:
    """Headings and rows of texts, as people read them."""
    table = comparison.table
    solved = "solved" in table.columns
    heads = ["cell", "layers", "parameters", "runs", *(["solved"] if solved else [])]
    heads += [comparison.measure, "95 % interval", "difference to best", "verdict"]
    heads += ["sequences/s", "step", "seconds"]
    rows = []
    for label, row in table.iterrows():
        low, high = (row["difference_low"], row["difference_high"])
        difference = "" if label == comparison.best else _signed(row["difference"])
        if difference and not math.isnan(low):
            difference += f" ({_signed(low)} to {_signed(high)})"
        texts = [str(label), str(row["layers"]) or "–", _count(row["parameters"])]
        texts.append(f"{row['runs']} of {len(comparison.seeds)}")
        texts += [f"{row['solved']} of {row['runs']}"] if solved else []
        texts += [number(row[comparison.measure]), _interval(row["low"], row["high"])]
        texts += [difference, str(row["verdict"]), number_of_speed(row["samples_per_second"])]
        texts += [_times(row["step_time"]), _seconds(row["seconds"])]
        rows.append(texts)
    return heads, rows


def text_table(comparison: Comparison) -> str:
    """The table as text, columns under each other."""
    heads, rows = cells_of_table(comparison)
    lines = [heads, *rows]
    widths = [max(len(line[column]) for line in lines) for column in range(len(heads))]
    return "\n".join(
        "  ".join(text.ljust(width) for text, width in zip(line, widths, strict=True)).rstrip()
        for line in lines
    )


def markdown(comparison: Comparison) -> str:
    """The table as Markdown, with what can be said of it below."""
    heads, rows = cells_of_table(comparison)
    lines = [heads, ["---"] * len(heads), *rows]
    table = ["| " + " | ".join(text.replace("|", "\\|") for text in line) + " |" for line in lines]
    points = [f"- {sentence}" for sentence in sentences(comparison)]
    return "\n".join([f"# {comparison.job}", "", *table, "", *points, ""])


def number_of(count: int, noun: str) -> str:
    """A count with its noun.

    >>> number_of(1, "seed"), number_of(3, "seed")
    ('1 seed', '3 seeds')
    """
    return f"{count} {noun}" + ("" if count == 1 else "s")


def sentences(comparison: Comparison) -> list[str]:
    """What can be said, and what cannot."""
    if comparison.best is None:
        return ["No run finished, so there is nothing to compare.", *_failures(comparison)]
    return [*_verdicts(comparison), *_failures(comparison), *_notes(comparison)]


def _verdicts(comparison: Comparison) -> Iterator[str]:
    best, measure = comparison.best, comparison.measure
    row = comparison.table.loc[best]
    interval = _interval(row["low"], row["high"])
    known = f" ({interval} with 95 % confidence)" if interval != "–" else ""
    yield f"{best} has the best mean {measure}: {number(row[measure])}{known}."
    yield from _unknown(comparison)
    for label in comparison.table.index:
        found = comparison.differences.get(str(label))
        if found is None or not found.known:
            continue
        said = f"by {_signed(found.mean)} ({_signed(found.low)} to {_signed(found.high)})"
        if found.within_noise:
            yield f"{label} differs from {best} {said}: within noise."
        else:
            yield f"{label} is worse than {best} {said}, beyond noise (p {_p(found.p)})."


def _unknown(comparison: Comparison) -> Iterator[str]:
    """Why nothing can be said of some differences."""
    best = comparison.best or ""
    unknown = [label for label, found in comparison.differences.items() if not found.known]
    tied = [n for n in unknown if min(len(comparison.values(c)) for c in (n, best)) > 1]
    if len(comparison.seeds) < 2 and unknown:
        yield (
            "With one seed nothing can be said about noise: another seed may turn the order "
            "round. Give two seeds or more, better five."
        )
    elif len(tied) < len(unknown):
        yield "Where a cell has fewer than two finished runs, nothing can be said about noise."
    for label in tied:
        yield f"{label} and {best}: the seeds did not vary, so nothing can be said about noise."


def _failures(comparison: Comparison) -> Iterator[str]:
    for contender in comparison.contenders:
        for seed, reason in sorted(comparison.failures.get(contender.label, {}).items()):
            yield f"{contender.label}, seed {seed}, failed: {reason}."


def _notes(comparison: Comparison) -> Iterator[str]:
    if comparison.differences and any(d.known for d in comparison.differences.values()):
        yield (
            "Differences: Welch's t over seeds, at 95 % for all pairs of cells together (Holm). "
            f"Step: time of a training step relative to {comparison.contenders[0].label}."
        )
    if comparison.side_by_side > 1:
        yield (
            f"Speed was measured with {comparison.side_by_side} runs side by side; alone a run "
            f"may be faster."
        )


def number_of_speed(value: float) -> str:
    """Sequences a second, in whole numbers where they are many."""
    return "–" if math.isnan(value) else f"{value:,.0f}" if value >= 10 else f"{value:.2g}"


def _signed(value: float) -> str:
    return ("+" if value > 0 else "") + number(value).replace("-", "−")


def _interval(low: float, high: float) -> str:
    return "–" if math.isnan(low) else f"{number(low)} to {number(high)}".replace("-", "−")


def _count(value: float | None) -> str:
    return "–" if value is None or math.isnan(value) else f"{int(value):,}"


def _times(value: float) -> str:
    return "–" if math.isnan(value) else f"{value:.2f}×"


def _seconds(value: float) -> str:
    return "–" if math.isnan(value) else f"{value:.1f} s"


def _p(value: float) -> str:
    return "< 0.001" if value < 0.001 else f"= {value:.3f}"
