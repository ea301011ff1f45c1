"""CoNLL-U: the treebanks of Universal Dependencies, a word a line.

The readers that there are pass over rows with columns too few and do not say in which line an error
stands, so this one is our own; https://universaldependencies.org/format.html is what it holds
files to.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path

from cellwright.data.files import read_lines
from cellwright.errors import DataError, did_you_mean

__all__ = ["CONLLU_COLUMNS", "Sentence", "read_conllu"]

CONLLU_COLUMNS = (
    *("id", "form", "lemma", "upos", "xpos", "feats", "head", "deprel", "deps", "misc"),
)
"""The ten columns of the format."""

_WORD = re.compile(r"[1-9][0-9]*")
# A token that is several words ("don't", 2-3), and a word that was left out (8.1).
_NO_WORD = re.compile(r"[1-9][0-9]*-[1-9][0-9]*|[0-9]+\.[1-9][0-9]*")


@dataclass(frozen=True)
class Sentence:
    """A sentence of a treebank.

    Attributes
    ----------
    name
        Its ``sent_id``, or the line where it starts.
    words
        Its words, as they are written (column ``form``).
    labels
        What stands for each word in the column that was asked for.
    """

    name: str
    words: list[str] = field(default_factory=list)
    labels: list[str] = field(default_factory=list)


def read_conllu(path: Path, column: str = "upos") -> list[Sentence]:
    """Read the sentences of a CoNLL-U file, compressed (``.gz``) or not.

    Words are those of the syntactic analysis: a token such as *don't* is the words *do* and
    *n't*, and the empty nodes of enhanced dependencies are passed over.

    Parameters
    ----------
    path
        The file.
    column
        Which column is the label: ``"upos"``, ``"xpos"``, ``"deprel"``, …

    Raises
    ------
    DataError
        The file cannot be read or breaks the format; the message names line and column.
    """
    if column not in CONLLU_COLUMNS[2:]:
        raise DataError(
            f"there is no column {column!r} to learn in CoNLL-U."
            f"{did_you_mean(column, CONLLU_COLUMNS)} Known: {', '.join(CONLLU_COLUMNS[2:])}"
        )
    place = CONLLU_COLUMNS.index(column)
    sentences: list[Sentence] = []
    current: Sentence | None = None
    name, number = "", 0
    for number, line in enumerate(read_lines(path), 1):
        if not line.strip():
            if current is not None:
                sentences.append(_finished(current, path, number))
            current, name = None, ""
        elif line.startswith("#"):
            key, _, value = line[1:].partition("=")
            name = value.strip() if key.strip() == "sent_id" else name
        else:
            current = current or Sentence(name or f"line {number}")
            _add_word(current, line, f"{path}, line {number}", place)
    if current is not None:
        # The format wants a blank line behind each sentence: without the last, the file is cut.
        raise DataError(
            f"{path}, line {number}: the file ends within a sentence; a blank line must follow it"
        )
    if not sentences:
        raise DataError(f"{path}: holds no sentence")
    return sentences


def _finished(sentence: Sentence, path: Path, number: int) -> Sentence:
    if not sentence.words:
        raise DataError(f"{path}, line {number}: the sentence before it has no words")
    return sentence


def _add_word(sentence: Sentence, line: str, where: str, place: int) -> None:
    cells = line.split("\t")
    if len(cells) != len(CONLLU_COLUMNS):
        raise DataError(
            f"{where}: expected 10 columns separated by tabs, got {len(cells)}: {line[:60]!r}"
        )
    if not all(map(str.strip, cells)):
        empty = next(c for c, cell in zip(CONLLU_COLUMNS, cells, strict=True) if not cell.strip())
        raise DataError(f"{where}, column {empty!r}: is empty; what is not there is '_'")
    if _NO_WORD.fullmatch(cells[0]):
        return
    wanted = len(sentence.words) + 1
    if not _WORD.fullmatch(cells[0]) or int(cells[0]) != wanted:
        raise DataError(f"{where}, column 'id': expected {wanted}, got {cells[0]!r}")
    sentence.words.append(cells[1])
    sentence.labels.append(cells[place])
