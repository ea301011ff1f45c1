"""How good captions are: exact matches, and BLEU."""

from __future__ import annotations

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

    White space does not matter, nor does the size of letters to a vocabulary of small ones.
    """

    def parts(text: str) -> list[str]:
        text = text.lower() if vocabulary.lowercase else text
        return vocabulary.split(text) if vocabulary.kind == "words" else text.split()

    return np.array(
        [
            parts(text) in [parts(reference) for reference in several]
            for text, several in zip(said, references, strict=True)
        ],
        np.bool_,
    )


def bleu(said: Sequence[str], references: Sequence[Sequence[str]], *, lowercase: bool) -> float:
    """BLEU of all captions together, 0 to 100, as sacrebleu computes it (Post 2018).

    Parameters
    ----------
    said
        A caption for each picture.
    references
        One or several for each; their number may differ.
    lowercase
        Whether the size of letters does not matter.
    """
    require_extra("jobs", "sacrebleu")
    import sacrebleu  # noqa: PLC0415

    most = max(len(several) for several in references)
    # sacrebleu passes over a reference that is None.
    streams: Any = [
        [several[number] if number < len(several) else None for several in references]
        for number in range(most)
    ]
    return float(sacrebleu.corpus_bleu(list(said), streams, lowercase=lowercase).score)
