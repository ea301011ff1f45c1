"""Samples for jobs, made by Hypothesis: good ones, and such as are spoiled at one place."""

import copy
from typing import Any

from hypothesis import strategies as st

__all__ = ["sequences", "spoiled", "spoken", "texts"]

_ODD = (
    float("nan"), float("inf"), 1e300, -1e300, 1e-300, 0.5, 7, None, True, "", " ", "new", b"a",
    "\ud800", [], [1.0, 2.0, 3.0], {},
)  # fmt: skip


def _some(samples: st.SearchStrategy[Any]) -> st.SearchStrategy[list[Any]]:
    """Lists of them, most long enough to learn from."""
    return st.lists(samples, min_size=4, max_size=8) | st.lists(samples, max_size=3)


spoken = _some(st.lists(st.sampled_from("abcd"), min_size=1, max_size=3))
texts = _some(st.sampled_from(["a b", "b", "c, a", "d d!"]))


@st.composite
def sequences(draw: st.DrawFn) -> list[list[list[float]]]:
    """Ragged sequences of one or two features; sometimes none at all."""
    features = draw(st.integers(1, 2))
    numbers = st.floats(-3, 3, width=32) | st.integers(-3, 3)
    step = st.lists(numbers, min_size=features, max_size=features)
    return draw(_some(st.lists(step, min_size=1, max_size=3)))


@st.composite
def spoiled(draw: st.DrawFn, given: list[Any]) -> list[Any]:
    """The same, or with something odd, or one thing less, at one place of it."""
    found = copy.deepcopy(given)
    part = found if draw(st.sampled_from([False, False, True])) else []
    while part:
        at = draw(st.integers(0, len(part) - 1))
        if isinstance(part[at], list) and draw(st.booleans()):
            part = part[at]
            continue
        if draw(st.integers(0, 3)):
            part[at] = draw(st.sampled_from(_ODD))
        else:
            del part[at]
        break
    return found
