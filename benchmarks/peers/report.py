"""The tables and the file."""

from __future__ import annotations

import json
import os
import tempfile
from pathlib import Path
from typing import Any

from peers.claims import OURS, Claim, Row, Samples, Section, shown
from peers.machine import BUSY

__all__ = ["asked", "summary", "table", "write"]


def table(section: Section, peak: float) -> str:
    """One section as Markdown."""
    lines = [f"\n## {section.title}\n"]
    names = list(dict.fromkeys(name for row in section.rows for name in row.samples))
    claims = list(dict.fromkeys(claim.what for row in section.rows for claim in row.claims))
    counted = any(row.flops for row in section.rows)
    head = ["", *names, *(["GFLOP/s (of peak)"] if counted else []), *claims]
    if section.rows:
        lines += [_line(head), _line(["---"] * len(head))]
    for row in section.rows:
        lines.append(_line(_cells(row, names, claims, counted, peak)))
    listed = [f"- {c.what}: {_claim(c)}" for c in section.claims] + _notes(section)
    return "\n".join([*lines, *([""] if listed else []), *listed])


def _notes(section: Section) -> list[str]:
    notes = [f"- {note}" for note in section.notes]
    found = [row.meanwhile for row in section.rows if row.meanwhile]
    most = max((meanwhile.cores_used_by_others for meanwhile in found), default=0)
    if most > BUSY:
        notes.append(f"- not to be relied on: other processes used up to {most:.2f} cores")
    if again := sum(meanwhile.timed_again for meanwhile in found):
        notes.append(f"- timed again, because the cores were not at full speed: {again} groups")
    if slow := sum(meanwhile.not_at_full_speed for meanwhile in found):
        notes.append(f"- not to be relied on: {slow} groups count though the cores never were")
    return notes


def _cells(row: Row, names: list[str], claims: list[str], counted: bool, peak: float) -> list[str]:
    found = {claim.what: claim for claim in row.claims}
    cells = [row.case]
    for name in names:
        cells.append(_samples(row.samples[name]) if name in row.samples else "")
    if counted:
        rate = (row.flops_per_second or 0) / 1e9 if OURS in row.samples else 0
        cells.append(f"{rate:.0f} ({rate / peak:.0%})" if rate else "")
    return cells + [_claim(found[what]) if what in found else "" for what in claims]


def _samples(samples: Samples) -> str:
    """The median, and half the distance between the quartiles."""
    return f"{shown(samples.median, samples.unit)} ±{samples.spread / 2:.0%}"


def _claim(claim: Claim) -> str:
    return f"{claim.number} {claim.asked} {claim.verdict}".strip()


def _line(cells: list[str]) -> str:
    return f"| {' | '.join(cells)} |"


def summary(sections: list[Section], peak: float) -> str:
    """Everything that was asked, and whether it was reached."""
    lines = ["| | measured | asked | |", "|---|---|---|---|"]
    return "\n".join([*lines, *(_line(list(line.values())) for line in asked(sections, peak))])


def asked(sections: list[Section], peak: float) -> list[dict[str, str]]:
    """The lines of the summary; `peak` is the processor's, in 10^9 operations a second."""
    return [
        {
            "what": f"{section.title}: {what}",
            "measured": claim.number,
            "asked": claim.asked,
            "verdict": _verdict(claim, row, peak),
        }
        for section in sections
        for what, claim, row in _asked(section)
    ]


def _verdict(claim: Claim, row: Row | None, peak: float) -> str:
    """What falls short also says how fast it would have to be: perhaps no program can."""
    if claim.verdict == "pass" or row is None or not row.flops_per_second:
        return claim.verdict
    needed = row.flops_per_second / 1e9 / _margin(claim) / peak
    return f"{claim.verdict}, would take {needed:.0%} of the peak"


def _asked(section: Section) -> list[tuple[str, Claim, Row | None]]:
    """The claims over all rows, and for what is asked of each row the worst one."""
    found: list[tuple[str, Claim, Row | None]]
    found = [(c.what, c, None) for c in section.claims if c.verdict]
    kinds = dict.fromkeys(c.what for row in section.rows for c in row.claims if c.verdict)
    for kind in kinds:
        rows = [(row, c) for row in section.rows for c in row.claims if c.what == kind]
        row, worst = min(rows, key=lambda pair: _margin(pair[1]))
        which = f", worst of {len(rows)}: {row.case}" if len(rows) > 1 else f", {row.case}"
        found.append((f"{kind}{which}", worst, row))
    return found


def _margin(claim: Claim) -> float:
    """How far beyond what was asked; below one falls short."""
    return claim.value / claim.at_least if claim.at_least else (claim.at_most or 0) / claim.value


def write(path: Path, content: dict[str, Any]) -> None:
    """Write whole or not at all."""
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=path.name)
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            json.dump(content, file, indent=1, ensure_ascii=False)
            file.write("\n")
        Path(name).chmod(0o644)
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
