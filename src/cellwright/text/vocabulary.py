"""Vocabularies: which whole number stands for which word, character, byte or part of a word."""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Iterable, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal, cast, get_args

from cellwright.errors import DataError, ModelFileError, SettingError, did_you_mean, require_extra

if TYPE_CHECKING:
    from tokenizers import Tokenizer
    from tokenizers.decoders import Decoder
    from tokenizers.pre_tokenizers import PreTokenizer

__all__ = ["Kind", "Vocabulary"]

Kind = Literal["words", "tokens", "characters", "bytes", "subwords"]

# The unknown is what Unicode itself shows for a character that cannot be shown. The other
# three hold spaces, which no kind of splitting leaves inside a token, so that no text,
# whatever it says, can be taken for one of them.
_SPECIAL = ("< padding >", "\ufffd", "< begin >", "< end >")
_PADDING, _UNKNOWN, _BEGIN, _END = range(4)
_SUBWORDS = 8000
_BYTES = 256


class Vocabulary:
    """The tokens of some texts, and the whole number of each.

    Text is brought into Unicode's normal form C before it is split, so that é is the same
    token whether it was written as one code point or as two.

    Made by `learn` or `read`. Four numbers do not stand for text: `padding` (always 0),
    `unknown`, `begin` and `end`. `encode` never puts in the first, third and fourth.

    Attributes
    ----------
    kind
        How text is split:

        ========== ======================================================== =================
        kind       a token is                                               decoding gives
        ========== ======================================================== =================
        words      a run of letters and digits, or one punctuation mark     words and spaces
        tokens     whatever stands between white space                      words and spaces
        characters one code point                                           the text
        bytes      one byte of its UTF-8                                    the text
        subwords   a frequent run of bytes inside a word, learned by        the text
                   byte-pair encoding
        ========== ======================================================== =================

        Bytes and subwords know every text; the others give `unknown` for a token that they
        have not learned.
    lowercase
        Whether all letters are made small.

    Examples
    --------
    >>> from cellwright.text import Vocabulary
    >>> words = Vocabulary.learn(["A cat sat.", "A dog sat, too."], kind="words", least=2)
    >>> len(words), words.encode("A cat sat.")
    (7, [5, 1, 6, 4])
    >>> words.decode([words.begin, 5, 1, 6, 4, words.end])
    'A � sat.'

    References
    ----------
    Sennrich, Haddow and Birch, "Neural machine translation of rare words with subword units",
    ACL (2016).
    """

    padding = _PADDING
    unknown = _UNKNOWN
    begin = _BEGIN
    end = _END

    def __init__(self, tokenizer: Tokenizer, kind: Kind, lowercase: bool) -> None:
        self._tokenizer = tokenizer
        self.kind = kind
        self.lowercase = lowercase
        # What a text says is never one of our four.
        tokenizer.encode_special_tokens = True

    @classmethod
    def learn(
        cls,
        texts: Iterable[str],
        kind: Kind = "words",
        size: int | None = None,
        least: int = 1,
        lowercase: bool = False,
    ) -> Vocabulary:
        """Collect the tokens of texts, the most frequent first.

        Parameters
        ----------
        texts
            The texts; empty ones are passed over.
        kind
            How to split them, as the class describes.
        size
            At most that many tokens, the four special ones among them; without it all there
            are, or 8,000 subwords.
        least
            Leave out tokens (or merges of subwords) seen fewer times than that.
        lowercase
            Make all letters small first.

        Raises
        ------
        SettingError
            An option is not allowed.
        DataError
            A text is none, or there is not a single token in all of them.
        """
        _check_options(kind, size, least)
        given = _checked(texts)
        tokenizer = _untrained(kind, lowercase)
        tokenizer.train_from_iterator(_pieces(given, kind), _trainer(kind, size, least))
        made = cls(tokenizer, kind, lowercase)
        if not any(given) or len(made) == len(_SPECIAL):
            often = f" seen {least} times or more" if least > 1 else ""
            raise DataError(f"there are no {kind}{often} to learn in {len(given)} texts")
        return made

    @classmethod
    def read(cls, text: str) -> Vocabulary:
        """Make a vocabulary of what `text` gave.

        Raises
        ------
        ModelFileError
            It is no vocabulary of ours.
        """
        require_extra("jobs", "tokenizers")
        from tokenizers import Tokenizer  # noqa: PLC0415

        try:
            stored = json.loads(text)
            tokenizer = Tokenizer.from_str(text)
        except Exception as error:  # the library raises plain Exception for a bad file
            raise ModelFileError(f"this is no vocabulary: {error}") from error
        # Only the splittings of our own are let in: a foreign one could be anything, such as
        # a pattern that never comes to an end.
        for kind in get_args(Kind):
            for lowercase in (False, True):
                if _shape(stored) == _shape(json.loads(_untrained(kind, lowercase).to_str())):
                    made = cls(tokenizer, kind, lowercase)
                    made._check_numbers()
                    return made
        raise ModelFileError("this vocabulary splits text in a way that is none of ours")

    @property
    def text(self) -> str:
        """The vocabulary as JSON, the form in which Hugging Face ``tokenizers`` stores it."""
        return self._tokenizer.to_str()

    @cached_property
    def tokens(self) -> list[str]:
        """All tokens, in the order of their numbers; bytes are shown as the library does."""
        known = self._tokenizer.get_vocab(with_added_tokens=True)
        return sorted(known, key=known.__getitem__)

    def __len__(self) -> int:
        """How many numbers there are."""
        return int(self._tokenizer.get_vocab_size())

    def __eq__(self, other: object) -> bool:
        """Whether the other splits and numbers every text in the same way."""
        return self.text == other.text if isinstance(other, Vocabulary) else NotImplemented

    def __hash__(self) -> int:
        """Alike for equal ones."""
        return hash(self.text)

    def __repr__(self) -> str:
        """The kind and the size."""
        return f"Vocabulary({len(self)} {self.kind}{', lowercase' * self.lowercase})"

    def encode(self, text: str) -> list[int]:
        """The number of each token of a text; nothing for an empty one.

        Raises
        ------
        DataError
            It is no text, or holds half of a surrogate pair.
        """
        pieces = _pieces(_checked([text]), self.kind)
        found = self._tokenizer.encode_batch_fast(pieces, add_special_tokens=False)
        return [number for piece in found for number in piece.ids]

    def encode_all(self, texts: Sequence[str]) -> list[list[int]]:
        """The numbers of each of many texts, several at a time."""
        found = self._tokenizer.encode_batch_fast(_checked(texts), add_special_tokens=False)
        return [piece.ids for piece in found]

    def split(self, text: str) -> list[str]:
        """Words, tokens or characters of a text in normal form C, the unknown ones too."""
        # What the library does by itself would count an accent of its own for nothing.
        text = unicodedata.normalize("NFC", *_checked([text]))
        found = self._tokenizer.encode(text, add_special_tokens=False)
        # Positions are those in the text before its letters were made small.
        return [text[start:stop] for start, stop in found.offsets]

    def number(self, token: str) -> int:
        """The number of one token, taken as it is; `unknown` if it has not been learned."""
        (token,) = _checked([token])
        token = unicodedata.normalize("NFC", token.lower() if self.lowercase else token)
        known = None if token in _SPECIAL else self._tokenizer.token_to_id(token)
        return self.unknown if known is None else int(known)

    def decode(self, numbers: Iterable[int]) -> str:
        """The text of numbers; those of padding, begin and end are passed over.

        Raises
        ------
        DataError
            A number is not in the vocabulary.
        """
        kept = []
        for at, number in enumerate(numbers):
            if not 0 <= number < len(self):
                raise DataError(f"number {number} at {at} is not in a vocabulary of {len(self)}")
            if number not in (_PADDING, _BEGIN, _END):
                kept.append(int(number))
        return str(self._tokenizer.decode(kept, skip_special_tokens=False))

    def _check_numbers(self) -> None:
        """Complain about a stored vocabulary with other special tokens or with gaps."""
        numbers = self._tokenizer.get_vocab(with_added_tokens=True)
        first = tuple(self._tokenizer.id_to_token(number) for number in range(len(_SPECIAL)))
        if first != _SPECIAL or sorted(numbers.values()) != list(range(len(numbers))):
            raise ModelFileError("the numbers of this vocabulary have gaps, or begin otherwise")


def _check_options(kind: str, size: int | None, least: int) -> None:
    if kind not in get_args(Kind):
        known = ", ".join(get_args(Kind))
        raise SettingError(
            f"kind={kind!r}: known are {known}.{did_you_mean(str(kind), get_args(Kind))}"
        )
    if isinstance(least, bool) or not isinstance(least, int) or least < 1:
        raise SettingError(f"least={least!r}: a token is seen at least once")
    if size is None:
        return
    lowest = len(_SPECIAL) + (_BYTES if kind in ("bytes", "subwords") else 1)
    if isinstance(size, bool) or not isinstance(size, int) or size < lowest:
        raise SettingError(f"size={size!r}: a vocabulary of {kind} has at least {lowest} tokens")


def _checked(texts: Iterable[str]) -> list[str]:
    """The texts as a list, each of which can be written as UTF-8."""
    if isinstance(texts, str):
        raise DataError("texts: expected a list of texts, got one text; put it into a list")
    given = list(texts)
    for number, text in enumerate(given):
        if not isinstance(text, str):
            raise DataError(f"texts[{number}]: expected text, got {type(text).__name__}")
        try:
            text.encode()
        except UnicodeEncodeError as error:
            raise DataError(
                f"texts[{number}]: character {error.start} is half of a surrogate pair, which "
                f"is no character"
            ) from error
    return given


def _pieces(texts: list[str], kind: Kind) -> list[str]:
    """Texts as lines, which are worked on side by side; subwords may reach over several."""
    if kind == "subwords":
        return texts
    return [line for text in texts for line in text.splitlines(keepends=True)]


def _untrained(kind: Kind, lowercase: bool) -> Tokenizer:
    require_extra("jobs", "tokenizers")
    from tokenizers import Tokenizer, normalizers  # noqa: PLC0415
    from tokenizers.models import BPE, WordLevel  # noqa: PLC0415

    plain = kind in ("bytes", "subwords")
    tokenizer = Tokenizer(BPE() if plain else WordLevel(unk_token=_SPECIAL[_UNKNOWN]))
    steps = [normalizers.NFC(), *([normalizers.Lowercase()] if lowercase else [])]
    tokenizer.normalizer = normalizers.Sequence(steps)
    tokenizer.pre_tokenizer, tokenizer.decoder = _splitting(kind)
    return tokenizer


def _splitting(kind: Kind) -> tuple[PreTokenizer, Decoder]:
    """How text is cut into tokens, and how tokens are joined again."""
    from tokenizers import Regex, decoders, pre_tokenizers  # noqa: PLC0415

    made: dict[Kind, Any] = {
        "words": lambda: (pre_tokenizers.BertPreTokenizer(), decoders.WordPiece(cleanup=True)),
        "tokens": lambda: (
            pre_tokenizers.WhitespaceSplit(),
            # Tokens that start with the prefix are glued to the one before; none has a blank.
            decoders.WordPiece(prefix=" ", cleanup=False),
        ),
        "characters": lambda: (
            pre_tokenizers.Split(Regex(r"[\s\S]"), "isolated"),
            decoders.Fuse(),
        ),
        "bytes": lambda: (
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
            decoders.ByteLevel(),
        ),
        "subwords": lambda: (
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True),
            decoders.ByteLevel(),
        ),
    }
    return cast("tuple[PreTokenizer, Decoder]", made[kind]())


def _trainer(kind: Kind, size: int | None, least: int) -> Any:
    from tokenizers.pre_tokenizers import ByteLevel  # noqa: PLC0415
    from tokenizers.trainers import BpeTrainer, WordLevelTrainer  # noqa: PLC0415

    shared: dict[str, Any] = {"special_tokens": list(_SPECIAL), "show_progress": False}
    if kind in ("bytes", "subwords"):
        most = len(_SPECIAL) + _BYTES if kind == "bytes" else size or _SUBWORDS
        letters = ByteLevel.alphabet()
        return BpeTrainer(vocab_size=most, min_frequency=least, initial_alphabet=letters, **shared)
    return WordLevelTrainer(vocab_size=size or 2**31, min_frequency=least, **shared)


def _shape(stored: Any) -> Any:
    """Everything of a stored vocabulary that does not depend on the texts it was learned from."""
    if not isinstance(stored, dict) or not isinstance(stored.get("model"), dict):
        return None
    model = {n: v for n, v in stored["model"].items() if n not in ("vocab", "merges")}
    return {n: v for n, v in stored.items() if n != "added_tokens"} | {"model": model}
