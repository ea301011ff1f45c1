"""``cellwright fit``: train a model and write a run folder. A command for every job."""

# Annotations are read where a command is made, and its texts are those of its job: they must
# not be put off.

import shlex
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Annotated, Any

import typer

from cellwright import jobs
from cellwright.cli.flags import given, parsed, with_options
from cellwright.cli.reporters import choose_reporter
from cellwright.cli.several import together
from cellwright.errors import SettingError
from cellwright.jobs.options import Entry
from cellwright.jobs.registry import ENTRIES
from cellwright.jobs.training.loggers import Several, make_loggers
from cellwright.jobs.training.ranks import is_first

__all__ = ["fit_app"]

fit_app = typer.Typer(
    help="Train a model, and write model, numbers and pictures to a folder.",
    no_args_is_help=True,
    rich_markup_mode=None,
)
_RUNS = Path("runs")


# The flags that every job has, but for those whose text names the job.
_DataDir = Annotated[str | None, typer.Option(help="Folder of the files of a named data set.")]
_Config = Annotated[
    Path | None, typer.Option(help="Repeat the run of this config.yaml; flags change it.")
]
_Resume = Annotated[
    bool,
    typer.Option(
        "--resume",
        help="Go on where Ctrl-C ended it, or, if it was killed, from the last finished epoch; "
        "without --out with the last run of this data.",
    ),
]
_Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace the run in the folder.")]
_Devices = Annotated[
    int, typer.Option(min=1, help="Processes that share every batch, each on a device.")
]
_Nodes = Annotated[int, typer.Option(min=1, help="Machines on which this very command is given.")]
_Rendezvous = Annotated[str | None, typer.Option(help="Where they meet: HOST:PORT of one of them.")]
_Log = Annotated[str, typer.Option(help="Also tell tensorboard, mlflow, or both with a comma.")]
_Quiet = Annotated[bool, typer.Option("--quiet", help="Print nothing but errors.")]
_Json = Annotated[
    bool, typer.Option("--json", help="One JSON object a line; the last is the result.")
]


@fit_app.callback()
def _fit() -> None:
    pass


def _command(entry: Entry) -> Callable[..., None]:
    """The command of one job, its flags made of its options."""

    @with_options(entry.reading, entry.options)
    def fit(
        context: typer.Context,
        data: Annotated[str, typer.Option(help=entry.data_help)] = entry.data,
        data_dir: _DataDir = None,
        config: _Config = None,
        out: Annotated[
            Path | None, typer.Option(help=f"Run folder; runs/{entry.name}-DATA-NNN without it.")
        ] = None,
        resume: _Resume = False,
        overwrite: _Overwrite = False,
        devices: _Devices = 1,
        nodes: _Nodes = 1,
        rendezvous: _Rendezvous = None,
        log: _Log = "none",
        quiet: _Quiet = False,
        as_json: _Json = False,
        **options: Any,
    ) -> None:
        if resume and overwrite:
            raise SettingError("--resume goes on with a run and --overwrite replaces it; give one")
        if devices * nodes > 1:
            together(devices, nodes, rendezvous)
        classes = (entry.reading, entry.options)
        asked = {name: parsed(classes, name, value) for name, value in options.items()}
        asked = {"data": data, "data_dir": data_dir, **asked}
        chosen = given(context, asked)
        if config is not None:
            asked = _settings(config, entry.name) | chosen
        stem = f"{entry.name}-{Path(asked['data']).name.partition('.')[0]}"
        if resume and config is None:
            last = jobs.RunFolder(out or jobs.next_folder(_RUNS, stem, last=True))
            if last.config_file.exists():
                asked = _settings(last.config_file, entry.name) | chosen
        wanted = jobs.configure(job=entry.name, **asked)
        names = [] if log == "none" else [name.strip() for name in log.split(",")]
        with _run_folder(out, stem, resume) as folder:
            loggers = make_loggers(names, folder.path)
            shown = choose_reporter(quiet=quiet, as_json=as_json)
            with closing(Several([shown, *loggers])) as reporter:
                _run(wanted, folder, reporter, resume=resume, overwrite=overwrite)

    fit.__doc__ = entry.about
    return fit


@contextmanager
def _run_folder(out: Path | None, stem: str, resume: bool) -> "Iterator[jobs.RunFolder]":
    """The folder that is named, or a numbered one; of a new one no other process has the number."""
    if out is not None or resume or not is_first():
        yield jobs.RunFolder(out or jobs.next_folder(_RUNS, stem, last=resume))
        return
    while True:
        taken = jobs.next_folder(_RUNS, stem)
        with suppress(FileExistsError):
            taken.mkdir(parents=True)
            break
    try:
        yield jobs.RunFolder(taken)
    finally:
        with suppress(OSError):  # what is not empty stays
            taken.rmdir()
            _RUNS.rmdir()


def _run(
    wanted: "jobs.RunConfig", folder: "jobs.RunFolder", reporter: Several, **how: bool
) -> None:
    try:
        jobs.run(wanted, folder, reporter=reporter, **how)
    except KeyboardInterrupt:
        # One that is finished has not been begun to be replaced.
        begun = folder.config_file.exists() and not folder.finished
        if is_first() and begun:
            place = shlex.quote(str(folder.path))
            reporter.note(
                f"interrupted; go on with: cellwright fit {wanted.job} --out {place} --resume"
            )
        raise


def _settings(file: Path, job: str) -> dict[str, Any]:
    config = jobs.read_config(file)
    if config.job != job:
        raise SettingError(f"{file} is of a run of the job {config.job!r}, not {job!r}")
    return config.settings


for _entry in ENTRIES.values():
    fit_app.command(_entry.name)(_command(_entry))
