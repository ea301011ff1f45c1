"""Texts in scripts that matplotlib's own font lacks."""

import warnings

import pytest
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties, findfont
from matplotlib.ft2font import FT2Font

from cellwright.errors import CellwrightWarning
from cellwright.look import fonts
from cellwright.look.pictures import save_picture


def signs_of(family):
    font = findfont(FontProperties(family=family), fallback_to_default=False)
    return set(FT2Font(font).get_charmap())


@pytest.fixture
def rare():
    """A sign that matplotlib's own font lacks and another one that comes with it has."""
    return min(
        chr(code)
        for code in signs_of("STIXGeneral") - signs_of("DejaVu Sans")
        if chr(code).isprintable()
    )


def labelled(*labels):
    figure = Figure()
    axes = figure.subplots()
    axes.set_xticks(range(len(labels)), labels)
    axes.set_title("and a title")
    return figure, axes


def test_a_sign_comes_from_a_font_that_has_it(tmp_path, rare):
    figure, axes = labelled("plain", f"rare {rare}")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        save_picture(figure, tmp_path / "picture.png")
    plain, other = axes.get_xticklabels()
    assert plain.get_fontfamily() == axes.title.get_fontfamily() == ["sans-serif"]
    own, family = other.get_fontfamily()
    assert own == "sans-serif"  # all other signs are as they were
    assert ord(rare) in signs_of(family)


def test_without_such_a_font_the_signs_are_named_once(tmp_path, rare, monkeypatch):
    monkeypatch.setattr(fonts, "_family_with", lambda sign: None)
    figure, _ = labelled(f"two {rare}", f"words {rare}")
    with pytest.warns(CellwrightWarning) as caught:
        save_picture(figure, tmp_path / "picture.png")
    assert [rare in str(warning.message) for warning in caught] == [True]
    assert (tmp_path / "picture.png").stat().st_size


def test_what_has_boxes_for_all_signs_is_no_such_font():
    family = fonts._family_with("\N{CJK UNIFIED IDEOGRAPH-4E2D}")
    assert family is None or "Last Resort" not in family
