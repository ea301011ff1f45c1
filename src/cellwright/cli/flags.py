"""Command-line flags made of an estimator's options, so that they are written only once."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import fields
from typing import Annotated, Any, Literal, get_args, get_origin

import typer

from cellwright.jobs.options import option_types

__all__ = ["given", "parsed", "with_options"]

# Flags whose name differs from the option's.
_FLAGS = {"random_state": "--seed"}
_PLAIN = (int, float, bool, str)


def option_parameters(cls: type) -> list[inspect.Parameter]:
    """A keyword parameter for Typer for each option of an estimator."""
    defaults = {field.name: field.default for field in fields(cls)}
    return [
        inspect.Parameter(
            name,
            inspect.Parameter.KEYWORD_ONLY,
            default=_shown(defaults[name], _plain_type(hint)),
            annotation=Annotated[
                _plain_type(hint) or str,
                typer.Option(_flag(name, defaults[name]), help=_described(hint)),
            ],
        )
        for name, hint in option_types(cls).items()
    ]


def given(context: typer.Context, values: Mapping[str, Any]) -> dict[str, Any]:
    """Those of the values that the user named, not the defaults."""

    def is_named(name: str) -> bool:
        source = context.get_parameter_source(name)
        return source is not None and source.name != "DEFAULT"

    return {name: value for name, value in values.items() if is_named(name)}


def parsed(classes: type | Sequence[type], name: str, value: Any) -> Any:
    """What a flag's text stands for: ``64,32`` is a list, ``proj=32`` a mapping."""
    of = [classes] if isinstance(classes, type) else classes
    hint = next(option_types(cls)[name] for cls in of if name in option_types(cls))
    if _plain_type(hint) is not None or not isinstance(value, str):
        return value
    if value.lower() == "none" and _may_be_none(hint):
        return None
    if "=" in value:
        pairs = (part.partition("=") for part in value.split(","))
        return {key.strip(): _number(text) for key, _, text in pairs}
    if "," in value:
        return [_number(part) for part in value.split(",") if part.strip()]
    return _number(value)


def with_options(
    *classes: type, without: Collection[str] = ()
) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Let a command take the options of these classes; it receives them as ``**options``."""

    def decorate(command: Callable[..., None]) -> Callable[..., None]:
        own = [
            parameter
            for parameter in inspect.signature(command, eval_str=True).parameters.values()
            if parameter.kind is not parameter.VAR_KEYWORD
        ]
        every = [each for cls in classes for each in option_parameters(cls)]
        options = [each for each in every if each.name not in without]
        signature = inspect.Signature([*own, *options])
        command.__signature__ = signature  # type: ignore[attr-defined]
        command.__annotations__ = {p.name: p.annotation for p in signature.parameters.values()}
        return command

    return decorate


def _flag(name: str, default: Any = None) -> str:
    words = name.replace("_", "-")
    # What is on without being asked for can be turned off.
    return f"--{words}/--no-{words}" if default is True else _FLAGS.get(name, f"--{words}")


def _described(hint: Any) -> str:
    for extra in get_args(hint)[1:]:
        if getattr(extra, "description", None):
            return str(extra.description)
    return ""


def _may_be_none(hint: Any) -> bool:
    inner = get_args(hint)[0] if get_origin(hint) is Annotated else hint
    return type(None) in get_args(inner)


def _plain_type(hint: Any) -> Any:
    """The type that Typer reads by itself, or None where the text is ours to parse."""
    if get_origin(hint) is Annotated:
        hint = get_args(hint)[0]
    if hint in _PLAIN or get_origin(hint) is Literal:
        return hint
    return None


def _shown(default: Any, plain: Any) -> Any:
    if plain is not None:
        return default
    if isinstance(default, tuple):
        return ",".join(map(str, default))
    return "none" if default is None else str(default)


def _number(text: str) -> Any:
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text.strip()
