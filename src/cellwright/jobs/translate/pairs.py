"""Pairs of texts that a translator is given: checking them, and keeping some to watch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from cellwright.data.parallel_text import ParallelText
from cellwright.data.texts import as_texts
from cellwright.errors import ShapeError
from cellwright.jobs.training.dividing import divide

__all__ = ["checked_pairs", "divided"]


def checked_pairs(source: Any, target: Any, *names: str) -> ParallelText:
    """Texts and what each is in other words; a `ShapeError` if there are not as many."""
    checked = [as_texts(texts, n) for texts, n in zip((source, target), names, strict=True)]
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
    DataError, SettingError, ShapeError
        The pairs cannot be divided, or `validation` is not two lists.
    """
    if validation is not None:
        if not isinstance(validation, (tuple, list)) or len(validation) != 2:
            raise ShapeError(
                "validation: expected two lists, texts and what each is in other words: (X, y)"
            )
        return pairs, checked_pairs(*validation, "validation[0]", "validation[1]")
    training, held = divide(len(pairs), options)
    if held is None:
        return pairs, None
    return pairs.take(sorted(training.tolist())), pairs.take(sorted(held.tolist()))
