"""Fonts for what matplotlib's own one lacks: labels and words come in every script.

A picture has boxes where there is no font. So where a text has signs that its own font lacks, those
of the machine are asked, which takes a second or two and happens once for each sign.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable
from contextlib import suppress
from functools import cache
from pathlib import Path

from matplotlib.font_manager import (
    FontEntry,
    FontProperties,
    findfont,
    findSystemFonts,
    fontManager,
)
from matplotlib.ft2font import FT2Font
from matplotlib.text import Text

from cellwright.errors import CellwrightWarning

__all__ = ["give_fonts"]

_REGULAR = 400  # weight


def give_fonts(texts: Iterable[Text]) -> None:
    """Let each text have the fonts of this machine that it needs beside its own.

    Warns
    -----
    CellwrightWarning
        No font has a sign, which is drawn as a box.
    """
    lacking: set[str] = set()
    for text in texts:
        own = text.get_fontproperties()
        missing = _missing(text.get_text(), own)
        if not missing:
            continue
        found = {sign: _family_with(sign) for sign in sorted(missing)}
        lacking |= {sign for sign, family in found.items() if family is None}
        families = dict.fromkeys(family for family in found.values() if family is not None)
        text.set_fontfamily([*own.get_family(), *families])
    if lacking:
        warnings.warn(
            f"no font of this machine has {''.join(sorted(lacking)[:20])!r}: drawn as boxes; "
            f"install a font of that script, such as one of the Noto fonts",
            CellwrightWarning,
            stacklevel=2,
        )


def _missing(text: str, font: FontProperties) -> set[str]:
    if text.isascii():
        return set()
    known = _signs_of(findfont(font))
    return {sign for sign in text if sign.isprintable() and ord(sign) not in known}


@cache
def _family_with(sign: str) -> str | None:
    """The family of a font that has a sign: a plain one, if there is any."""
    for font in _fonts():
        if ord(sign) in _signs_of(font.fname):
            return font.name
    return None


@cache
def _fonts() -> list[FontEntry]:
    """All fonts of the machine, plain ones first, but for the one whose signs are all boxes."""
    # Matplotlib remembers from process to process which there are, and finds no new ones.
    known = {Path(font.fname) for font in fontManager.ttflist}
    for file in findSystemFonts():
        if Path(file) not in known:
            with suppress(OSError, RuntimeError):  # one that FreeType cannot read
                fontManager.addfont(file)
    fonts = [font for font in fontManager.ttflist if not font.name.startswith("Last Resort")]
    return sorted(fonts, key=_oddity)


def _oddity(font: FontEntry) -> tuple[bool, bool, bool, str]:
    regular = font.weight in (_REGULAR, "normal", "regular", "book")
    return font.style != "normal", not regular, "Mono" in font.name, font.name


@cache
def _signs_of(file: str) -> frozenset[int]:
    with suppress(OSError, RuntimeError):  # one that is gone, or that FreeType cannot read
        return frozenset(FT2Font(file).get_charmap())
    return frozenset()
