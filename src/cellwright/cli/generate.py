"""``cellwright generate``: let a language model write."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from cellwright import jobs
from cellwright.errors import SettingError

__all__ = ["generate"]


def generate(
    run: Annotated[Path, typer.Argument(help="A run folder, or a model file.")],
    seed_text: Annotated[str, typer.Option(help="What is written already.")] = "",
    length: Annotated[int, typer.Option(min=0, help="Tokens to write; 0 for no end.")] = 500,
    temperature: Annotated[
        float, typer.Option(help="Below 1 likely, above daring, 0 the most probable only.")
    ] = 1.0,
    top_k: Annotated[int | None, typer.Option(help="Draw from so many tokens.")] = None,
    top_p: Annotated[float | None, typer.Option(help="Draw from so much of the chance.")] = None,
    beam: Annotated[
        int | None, typer.Option(help="Find the likeliest continuation instead, so many at hand.")
    ] = None,
    stop: Annotated[list[str] | None, typer.Option(help="End before this; more than once.")] = None,
    seed: Annotated[int | None, typer.Option(min=0, help="Of what is drawn.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="As one JSON object.")] = False,
) -> None:
    """Write text with a trained language model, as it comes."""
    model = jobs.load(run)
    if not hasattr(model, "generate"):
        raise SettingError(f"{run} is a model of the job {model.job!r}, which writes no text")
    drawn = {"temperature": temperature, "top_k": top_k, "top_p": top_p, "random_state": seed}
    if beam is None and not stop and not as_json:
        typer.echo(seed_text, nl=False)
        for piece in model.stream(seed_text, length=length or None, **drawn):
            typer.echo(piece, nl=False)
        typer.echo()
        return
    if not length:
        raise SettingError("--length 0 writes without end; not with --beam, --stop or --json")
    text = model.generate(seed_text, length, beam=beam, stop=stop, **drawn)
    typer.echo(json.dumps({"seed_text": seed_text, "text": text}) if as_json else seed_text + text)
