"""Pairs of texts that a translator is given: checking them, and keeping some to watch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from cellwright.data.parallel_text import ParallelText
from cellwright.errors import DataError, SettingError, ShapeError

__all__ = ["checked_pairs", "checked_texts", "divided"]


def checked_texts(texts: Any, name: str) -> list[str]:
    """The texts as a list, else a `DataError` that says which is none, or empty."""
    if isinstance(texts, (str, bytes)) or not hasattr(texts, "__len__"):
        raise DataError(f"{name}: expected a list of texts, got {type(texts).__name__}")
    if len(texts) == 0:
        raise DataError(f"{name} is empty; give at least one text")
    for number, text in enumerate(texts):
        if not isinstance(text, str):
            raise DataError(f"{name}[{number}]: expected a text, got {type(text).__name__}")
        if not text.strip():
            raise DataError(f"{name}[{number}] is an empty text")
    return [str(text) for text in texts]


def checked_pairs(source: Any, target: Any, *names: str) -> ParallelText:
    """Texts and what each is in other words; a `ShapeError` if there are not as many."""
    checked = [checked_texts(texts, n) for texts, n in zip((source, target), names, strict=True)]
    if len(checked[0]) != len(checked[1]):
        raise ShapeError(
            f"{names[0]} has {len(checked[0])} texts but {names[1]} has {len(checked[1])}"
        )
    return ParallelText(*checked)


def divided(
    pairs: ParallelText,
    validation: tuple[Sequence[str], Sequence[str]] | None,
    options: Mapping[str, Any],
) -> tuple[ParallelText, ParallelText | None]:
    """What is learned from, and what progress is watched on.

    Parameters
    ----------
    pairs
        All pairs.
    validation
        Those to watch, if they are given; else a part of `pairs` as the options say.
    options
        Validated options of a translator.

    Raises
    ------
    DataError, SettingError
        The pairs cannot be divided.
    """
    if validation is not None:
        return pairs, checked_pairs(*validation, "validation[0]", "validation[1]")
    count = round(options["validation_fraction"] * len(pairs))
    if options["validation_fraction"] == 0:
        if options["patience"] is not None:
            raise SettingError("patience watches validation data; give a validation_fraction")
        return pairs, None
    if not 0 < count < len(pairs):
        raise DataError(
            f"validation_fraction={options['validation_fraction']}: {len(pairs)} pairs cannot be "
            f"divided; give more pairs or validation_fraction=0"
        )
    order = np.random.default_rng(options["random_state"]).permutation(len(pairs)).tolist()
    return pairs.take(sorted(order[count:])), pairs.take(sorted(order[:count]))
