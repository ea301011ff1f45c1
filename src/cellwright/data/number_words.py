"""Numbers in English and French words: a small pair of languages with real rules."""

from __future__ import annotations

__all__ = ["english_number", "french_number"]

_ENGLISH = (
    *("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"),
    *("eleven", "twelve", "thirteen", "fourteen", "fifteen", "sixteen", "seventeen"),
    *("eighteen", "nineteen"),
)
_ENGLISH_TENS = ("twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety")
_FRENCH = (
    *("zéro", "un", "deux", "trois", "quatre", "cinq", "six", "sept", "huit", "neuf", "dix"),
    *("onze", "douze", "treize", "quatorze", "quinze", "seize", "dix-sept", "dix-huit"),
    "dix-neuf",
)
_FRENCH_TENS = ("vingt", "trente", "quarante", "cinquante", "soixante")


def english_number(number: int) -> str:
    """A number from 0 to 999,999 in English words.

    >>> english_number(371_091)
    'three hundred and seventy-one thousand and ninety-one'
    """
    thousands, rest = divmod(number, 1000)
    if not thousands:
        return _english_hundreds(rest)
    parts = [_english_hundreds(thousands), "thousand"]
    if rest:
        parts += ["and"] if rest < 100 else []
        parts.append(_english_hundreds(rest))
    return " ".join(parts)


def french_number(number: int) -> str:
    """A number from 0 to 999,999 in French words.

    >>> french_number(371_091), french_number(80), french_number(1_200)
    ('trois cent soixante et onze mille quatre-vingt-onze', 'quatre-vingts', 'mille deux cents')
    """
    thousands, rest = divmod(number, 1000)
    if not thousands:
        return _french_hundreds(rest, last=True)
    # Mille has no number of its own before it where it is one, and takes no ending.
    parts = [_french_hundreds(thousands, last=False)] if thousands > 1 else []
    parts.append("mille")
    if rest:
        parts.append(_french_hundreds(rest, last=True))
    return " ".join(parts)


def _english_hundreds(number: int) -> str:
    hundreds, rest = divmod(number, 100)
    if not hundreds:
        return _english_tens(rest)
    return f"{_ENGLISH[hundreds]} hundred" + (f" and {_english_tens(rest)}" if rest else "")


def _english_tens(number: int) -> str:
    if number < 20:
        return _ENGLISH[number]
    tens, ones = divmod(number, 10)
    return _ENGLISH_TENS[tens - 2] + (f"-{_ENGLISH[ones]}" if ones else "")


def _french_hundreds(number: int, *, last: bool) -> str:
    hundreds, rest = divmod(number, 100)
    if not hundreds:
        return _french_tens(rest, last=last)
    words = [_FRENCH[hundreds]] if hundreds > 1 else []
    words.append("cents" if hundreds > 1 and not rest and last else "cent")
    return " ".join([*words, *([_french_tens(rest, last=last)] if rest else [])])


def _french_tens(number: int, *, last: bool) -> str:
    """Sixty and eighty count on to nineteen; what ends with twenties takes an s at the end."""
    if number < 20:
        return _FRENCH[number]
    if number >= 80:
        rest = number - 80
        return f"quatre-vingt-{_FRENCH[rest]}" if rest else "quatre-vingt" + "s" * last
    tens, rest = divmod(number, 10)
    if number >= 70:
        tens, rest = 6, number - 60
    word = _FRENCH_TENS[tens - 2]
    if rest in (1, 11):
        return f"{word} et {_FRENCH[rest]}"
    return f"{word}-{_FRENCH[rest]}" if rest else word
