"""Command-line flags made of an estimator's options, so that they are written only once."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import fields
from types import UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import typer

from cellwright.jobs.options import option_types

__all__ = ["given", "in_flags", "parsed", "with_options"]

# Flags whose name differs from the option's.
_FLAGS = {"random_state": "--seed"}
_PLAIN = (int, float, bool, str)
_PLAIN_KINDS = set(_PLAIN)


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
    kinds = list(_kinds(hint))
    if Mapping in kinds and "=" in value:
        pairs = (part.partition("=") for part in value.split(","))
        return {key.strip(): _number(text) for key, _, text in pairs}
    if Sequence in kinds and ("," in value or not _PLAIN_KINDS.intersection(kinds)):
        return [_as(_kinds_within(hint), part) for part in value.split(",") if part.strip()]
    return _as(kinds, value)


def in_flags(message: str, app: typer.Typer, arguments: Sequence[str]) -> str:
    """A message on options, ``random_state=-1``, with the flags of a command: ``--seed=-1``."""
    command: Any = typer.main.get_command(app)
    for argument in arguments:
        command = getattr(command, "commands", {}).get(argument, command)
    flags: dict[str, str] = {
        each.name: each.opts[0] for each in command.params if each.opts[0].startswith("--")
    }
    words = re.compile(r"(?<![^\s,(])([a-z]\w*)(?==)")
    return words.sub(lambda found: flags.get(found[1], str(found[1])), message)


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
    return type(None) in _kinds(hint)


def _kinds(hint: Any) -> Iterator[Any]:
    """What a value may be: plain types, `Mapping` or `Sequence`."""
    origin = get_origin(hint)
    if origin is Annotated:
        yield from _kinds(get_args(hint)[0])
    elif origin in (Union, UnionType):
        for alternative in get_args(hint):
            yield from _kinds(alternative)
    elif origin is Literal:
        yield from {type(value) for value in get_args(hint)}
    elif isinstance(origin, type):
        yield Mapping if issubclass(origin, Mapping) else Sequence
    else:
        yield hint


def _kinds_within(hint: Any) -> list[Any]:
    """What the members of a sequence may be."""
    if get_origin(hint) in (Annotated, Union, UnionType):
        inner = get_args(hint)[:1] if get_origin(hint) is Annotated else get_args(hint)
        return [kind for each in inner for kind in _kinds_within(each)]
    if isinstance(get_origin(hint), type) and not issubclass(get_origin(hint), Mapping):
        return [kind for each in get_args(hint) if each is not ... for kind in _kinds(each)]
    return []


def _as(kinds: Collection[Any], text: str) -> Any:
    """A number where there may be one, else the text as it stands."""
    return _number(text) if {int, float, bool}.intersection(kinds) else text.strip()


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
