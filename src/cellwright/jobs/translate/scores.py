"""How good translations are, as sacrebleu measures it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from unicodedata import normalize

from cellwright.errors import require_extra

__all__ = ["translation_scores"]


def translation_scores(told: Sequence[str], truth: Sequence[str]) -> dict[str, Any]:
    """Measures of translations as they are, with their capitals and spaces.

    Only accents are brought into one form of Unicode, because vocabularies know no other.

    Parameters
    ----------
    told, truth
        Translations, and what is right.

    Returns
    -------
    dict
        ``bleu`` and ``chrf``, 0 to 100; ``exact_match``, the share that is right to the letter;
        ``signature`` of the BLEU, which says what must be the same to compare two.

    References
    ----------
    Post, "A call for clarity in reporting BLEU scores", WMT (2018).
    """
    require_extra("jobs", "sacrebleu")
    from sacrebleu.metrics.bleu import BLEU  # noqa: PLC0415
    from sacrebleu.metrics.chrf import CHRF  # noqa: PLC0415

    told, truth = ([normalize("NFC", text) for text in texts] for texts in (told, truth))
    bleu = BLEU()
    found = bleu.corpus_score(told, [truth])
    return {
        "bleu": float(found.score),
        "chrf": float(CHRF().corpus_score(told, [truth]).score),
        "exact_match": sum(map(str.__eq__, told, truth)) / len(told),
        "signature": str(bleu.get_signature()),
    }
