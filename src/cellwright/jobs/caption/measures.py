"""How good captions are: exact matches, and BLEU."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from cellwright.errors import require_extra
from cellwright.text import Vocabulary

__all__ = ["bleu", "exact"]


def exact(
    said: Sequence[str], references: Sequence[Sequence[str]], vocabulary: Vocabulary
) -> npt.NDArray[np.bool_]:
    """Which captions say word for word what one of their references says, (picture,).

    White space does not matter, nor in which of Unicode's forms an accent is written, nor does the
    size of letters to a vocabulary of small ones.
    """
    return np.array(
        [
            _parts(text, vocabulary) in [_parts(reference, vocabulary) for reference in several]
            for text, several in zip(said, references, strict=True)
        ],
        np.bool_,
    )


def bleu(said: Sequence[str], references: Sequence[Sequence[str]], vocabulary: Vocabulary) -> float:
    """BLEU of all captions together, 0 to 100, as sacrebleu computes it (Post 2018).

    Both are split as the vocabulary splits them: one of words says "man ' s" where a reference
    has "man's", which is no mistake. What does not matter to `exact` does not matter here.

    Parameters
    ----------
    said
        A caption for each picture.
    references
        One or several for each; their number may differ.
    vocabulary
        Of whoever said it.
    """
    require_extra("jobs", "sacrebleu")
    import sacrebleu  # noqa: PLC0415

    def plain(text: str) -> str:
        return " ".join(_parts(text, vocabulary))

    most = max(len(several) for several in references)
    # sacrebleu passes over a reference that is None.
    streams: Any = [
        [plain(several[number]) if number < len(several) else None for several in references]
        for number in range(most)
    ]
    return float(sacrebleu.corpus_bleu(list(map(plain, said)), streams).score)


def _parts(text: str, vocabulary: Vocabulary) -> list[str]:
    """What of a text can be right or wrong, in the form of Unicode that the vocabulary tells."""
    text = unicodedata.normalize("NFC", text.lower() if vocabulary.lowercase else text)
    return vocabulary.split(text) if vocabulary.kind == "words" else text.split()
