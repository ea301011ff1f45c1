"""Character and word error rates, as jiwer counts them."""

from __future__ import annotations

from collections.abc import Sequence

from cellwright.errors import DataError, require_extra

__all__ = ["character_errors", "error_rates"]


def character_errors(truth: Sequence[str], said: Sequence[str]) -> int:
    """Characters that must be put in, taken out or replaced; blanks at the ends do not count."""
    require_extra("jobs", "jiwer")
    import jiwer  # noqa: PLC0415 (only where it is needed)

    found = jiwer.process_characters(list(truth), list(said))
    return found.substitutions + found.deletions + found.insertions


def error_rates(truth: Sequence[str], said: Sequence[str]) -> dict[str, float]:
    """Error rates over all texts together.

    Parameters
    ----------
    truth, said
        As many texts, those that are true not empty.

    Returns
    -------
    dict
        ``character_error_rate`` and ``word_error_rate``, edits for each character and word of
        the truth, and ``exact``, the share of texts without an error.
    """
    require_extra("jobs", "jiwer")
    import jiwer  # noqa: PLC0415 (only where it is needed)

    for number, text in enumerate(truth):
        if not text.strip():
            raise DataError(f"texts[{number}] is empty; there is nothing to count errors in")
    return {
        "character_error_rate": float(jiwer.cer(list(truth), list(said))),
        "word_error_rate": float(jiwer.wer(list(truth), list(said))),
        "exact": sum(a.strip() == b.strip() for a, b in zip(truth, said, strict=True)) / len(truth),
    }
