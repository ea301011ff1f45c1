"""Reading text: from a file, or from what every machine with scikit-learn has."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Literal, TypeAlias, get_args

from cellwright.data.checks import check_choice, check_count, check_fraction
from cellwright.data.files import decoded, read_bytes
from cellwright.errors import DataError, did_you_mean

__all__ = ["Division", "TextDataset", "divide_text", "read_documents", "read_text"]

Division: TypeAlias = Literal["file", "paragraphs", "lines"]
_NAMED = ("descriptions",)


@dataclass(frozen=True, eq=False)
class TextDataset:
    """Texts with a training and a test part.

    Attributes
    ----------
    name
        What people call them.
    train, test
        The texts of both parts.
    """

    name: str
    train: list[str]
    test: list[str]

    @property
    def fingerprint(self) -> str:
        """A digest of all texts, to tell whether the data are the same."""
        digest = hashlib.blake2b(digest_size=16)
        for part in (self.train, self.test):
            for text in (*part, ""):
                encoded = text.encode()
                digest.update(len(encoded).to_bytes(8, "little"))
                digest.update(encoded)
        return digest.hexdigest()


def divide_text(
    source: str,
    *,
    test_fraction: float = 0.1,
    tails: int | None = None,
    documents: Division = "file",
) -> TextDataset:
    """Read text, and keep a part of it for the test.

    Parameters
    ----------
    source
        ``"descriptions"`` (of the data sets in scikit-learn), or the path of a text file.
    test_fraction
        Which part to keep: of one text its end, of several the last ones.
    tails
        Cut the whole text into so many of the same length, and keep the end of each instead.
    documents
        Whether the file is one text, or one a line, or one a paragraph.

    Raises
    ------
    DataError
        The source is unknown or malformed, or there is too little text for both parts; or
        `test_fraction` is none.
    SettingError
        `tails` is not a whole number from 1, or `documents` no known division.
    """
    check_fraction(test_fraction)
    if tails is not None:
        check_count(tails, "tails")
    texts = read_documents(source, documents)
    name = Path(source).name.partition(".")[0] or source
    if tails is not None:
        if len(texts) > 1:
            raise DataError("tails cuts one text into many; it goes with documents='file' alone")
        length = len(texts[0]) // tails
        texts = [texts[0][number * length : (number + 1) * length] for number in range(tails)]
    if tails is None and len(texts) > 1:
        cut = len(texts) - max(1, round(test_fraction * len(texts)))
        train, test = texts[:cut], texts[cut:]
    else:
        cuts = [len(text) - max(1, round(test_fraction * len(text))) for text in texts]
        train = [text[:cut] for text, cut in zip(texts, cuts, strict=True)]
        test = [text[cut:] for text, cut in zip(texts, cuts, strict=True)]
    if not all(train) or not train or not all(test) or not any(map(str.strip, test)):
        raise DataError(f"{source}: there is too little text for a training and a test part")
    return TextDataset(name, train, test)


def read_documents(source: str, documents: Division = "file") -> list[str]:
    """The texts of a named source or a file, one at least.

    Raises
    ------
    DataError
        The source is unknown or malformed, or there is no text in it.
    SettingError
        `documents` is no known division.
    """
    check_choice(documents, "documents", get_args(Division))
    text = _descriptions() if source in _NAMED else read_text(Path(source))
    if documents == "lines":
        texts = text.split("\n")  # what else `splitlines` takes for an end stands within a line
    elif documents == "paragraphs":
        texts = re.split(r"\n[^\S\n]*\n\s*", text)
    else:
        texts = [text]
    texts = [each for each in texts if each.strip()]
    if not texts:
        raise DataError(f"{source}: there is no text in it")
    return texts


def read_text(path: Path) -> str:
    r"""A text file in UTF-8, compressed or not; line ends become ``\n``.

    Raises
    ------
    DataError
        There is no such file, it is damaged, or not in UTF-8; the message names line and byte.
    """
    if not path.is_file():
        known = ", ".join(_NAMED)
        hint = did_you_mean(str(path), _NAMED)
        raise DataError(f"there is no file {path}.{hint} Known are {known}, or a text file")
    text = decoded(read_bytes(path), str(path))
    if "\0" in text:
        line = text[: text.index("\0")].count("\n") + 1
        raise DataError(f"{path}, line {line}: holds a zero byte; this is no text file")
    return text.replace("\r\n", "\n").replace("\r", "\n")


def _descriptions() -> str:
    """What scikit-learn tells of its data sets, one after the other."""
    folder = files("sklearn.datasets.descr")
    found = sorted((f for f in folder.iterdir() if f.name.endswith(".rst")), key=lambda f: f.name)
    if not found:
        raise DataError("this scikit-learn has no descriptions of its data sets; name a text file")
    return "\n".join(file.read_text(encoding="utf-8") for file in found)
