"""Every error that cellwright raises on purpose.

All derive from `CellwrightError`, and from the built-in type that a caller of
torch or scikit-learn already catches for the same mistake. The one warning stands here too.
"""

from __future__ import annotations

import difflib
import importlib.util
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pydantic import ValidationError

__all__ = [
    "ArgumentError",
    "BackendError",
    "CellError",
    "CellwrightError",
    "CellwrightWarning",
    "ConformanceError",
    "DataError",
    "GraphError",
    "MissingExtraError",
    "ModelFileError",
    "RunError",
    "SettingError",
    "ShapeError",
    "ToolchainError",
    "TrainingError",
    "did_you_mean",
    "first_problem",
    "in_words",
    "require_extra",
]


class CellwrightError(Exception):
    """Base of every error that cellwright raises on purpose."""


class CellwrightWarning(UserWarning):
    """Something works, but not as it was asked for; the message says what happens instead."""


class ArgumentError(CellwrightError, TypeError):
    """An argument is not the kind of object that is wanted; the message says what is."""


class GraphError(CellwrightError, ValueError):
    """A graph breaks a rule of the intermediate representation."""


class CellError(CellwrightError, ValueError):
    """A cell's equations cannot be traced; the message names cell, line and equation."""


class ShapeError(CellwrightError, ValueError, RuntimeError):
    """An array has the wrong shape; the message names the argument and its axes.

    Also a `RuntimeError`, because that is what `torch.nn` raises for most of them.
    """


class DataError(CellwrightError, ValueError):
    """Data cannot be used: missing, malformed, not finite, or an unknown label."""


class SettingError(CellwrightError, ValueError):
    """An option or an environment variable has a value that is not allowed."""


class BackendError(CellwrightError, RuntimeError):
    """A backend was asked for by name and cannot run the cell; the message says why."""


class ConformanceError(CellwrightError, AssertionError):
    """A backend computes something else than the reference; the message shows what and where."""


class ToolchainError(CellwrightError, RuntimeError):
    """There is no working C++ compiler, or it failed; the message shows what it said."""


class ModelFileError(CellwrightError, ValueError):
    """A model file is truncated, foreign, or does not describe a model."""


class RunError(CellwrightError, RuntimeError):
    """A run folder cannot be used as asked: it holds a run already, or none."""


class TrainingError(CellwrightError, ArithmeticError):
    """Training cannot go on, because the loss is no longer a number."""


class MissingExtraError(CellwrightError, ImportError):
    """A part of cellwright was used whose optional packages are not installed."""


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Return " Did you mean …?" for the known name closest to `name`, or nothing.

    >>> did_you_mean("sigmiod", ["tanh", "sigmoid"])
    " Did you mean 'sigmoid'?"
    """
    # Small and capital letters are the same here: LSTM is what everybody writes for lstm.
    spelled = {each.casefold(): each for each in known}
    close = difflib.get_close_matches(name.casefold(), spelled, n=1, cutoff=0.6)
    return f" Did you mean {spelled[close[0]]!r}?" if close else ""


# What pydantic finds wrong, by its own name for it, in the words of our other messages.
_PROBLEMS = {
    "greater_than": "must be greater than {gt}",
    "greater_than_equal": "must be at least {ge}",
    "less_than": "must be less than {lt}",
    "less_than_equal": "must be at most {le}",
    "int_type": "must be a whole number",
    "int_parsing": "must be a whole number",
    "int_from_float": "must be a whole number",
    "float_type": "must be a number",
    "float_parsing": "must be a number",
    "finite_number": "must be a finite number",
    "bool_type": "must be true or false",
    "bool_parsing": "must be true or false",
    "string_type": "must be text",
    "string_too_short": "must not be empty",
    "dict_type": "must be names with their values",
    "model_type": "must be names with their values",
    "list_type": "must be a list",
    "literal_error": "must be {expected}",
    "missing": "is missing",
    "extra_forbidden": "is not known",
}


def in_words(problem: Mapping[str, Any]) -> str:
    """Return what is wrong with a value, of one of the errors of pydantic's `ValidationError`.

    >>> in_words({"type": "greater_than", "msg": "Input should be ...", "ctx": {"gt": 0}})
    'must be greater than 0'
    """
    text = _PROBLEMS.get(problem["type"])
    if text is None:
        return str(problem["msg"]).removeprefix("Value error, ")
    return text.format(**problem.get("ctx", {}))


def first_problem(error: ValidationError, document: str = "document") -> str:
    """Return where a document is wrong, and what is wrong there; the first of what was found."""
    first = error.errors()[0]
    place = "".join(f"[{p}]" if isinstance(p, int) else f".{p}" for p in first["loc"])
    return f"{place.removeprefix('.') or document}: {in_words(first)}"


def require_extra(extra: str, *modules: str) -> None:
    """Raise `MissingExtraError` if the packages of an optional extra are not installed."""
    missing = [module for module in modules if importlib.util.find_spec(module) is None]
    if missing:
        raise MissingExtraError(
            f"this part of cellwright needs {', '.join(missing)}: pip install 'cellwright[{extra}]'"
        )
