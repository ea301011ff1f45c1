"""README.md, the pages of docs/ and the docstrings of src/ are tests.

Python blocks and docstring examples are run by Sybil, each document in one namespace and in
a folder of its own. So are ``console`` blocks that start with ``$ cellwright``: what they
print is compared with what the page shows.
"""

import contextlib
import doctest
import io
import os
import re
import shlex
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
from sybil import Example, Sybil
from sybil.evaluators.doctest import NUMBER
from sybil.parsers.markdown import CodeBlockParser, PythonCodeBlockParser
from sybil.parsers.rest import DocTestParser

# The networks of the tests are small, and threads that wait for each other on busy cores
# make them many times slower. Must be set before torch is imported.
os.environ.setdefault("OMP_NUM_THREADS", "1")

# Kernels are kept for the next run and shared by all workers, but not among the user's own.
KERNELS = Path(__file__).parent / ".pytest_cache" / "kernels"
os.environ.setdefault("CELLWRIGHT_CACHE_DIR", str(KERNELS))

DOCTEST = doctest.ELLIPSIS | NUMBER
_FOLDER = "_folder_of_this_document"
_PLACE = re.compile(r"\.\.\.|(?P<number>\d+\.\d+(?:e[+-]?\d+)?)(?P<seconds> s\b)?|(?P<space>\s+)")


def enter_folder(namespace: dict[str, Any]) -> None:
    """Give a document a folder to write into."""
    stack = contextlib.ExitStack()
    folder = stack.enter_context(tempfile.TemporaryDirectory())
    stack.callback(os.chdir, Path.cwd())
    os.chdir(folder)
    namespace[_FOLDER] = stack


def leave_folder(namespace: dict[str, Any]) -> None:
    """Take the folder away again."""
    namespace.pop(_FOLDER).close()


def run_console(example: Example) -> str | None:
    """Run the commands of a console block, and compare what each prints."""
    if not example.parsed.startswith("$ cellwright"):
        return None  # such as `make`, which installs
    code = 0
    for part in re.split(r"^\$ ", example.parsed, flags=re.MULTILINE)[1:]:
        command, _, wanted = part.partition("\n")
        while command.endswith("\\"):
            line, _, wanted = wanted.partition("\n")
            command = command[:-1] + line
        if command == "echo $?":
            printed = f"{code}\n"
        else:
            printed, code = run_command(command)
        if not matches(wanted, printed):
            return f"$ {command}\n--- expected\n{wanted}\n--- printed\n{printed}"
    return None


def run_command(command: str) -> tuple[str, int]:
    """What a command prints and its exit code; cellwright's run in this process, to be quick."""
    first, _, rest = command.partition(" | ")
    words = shlex.split(first)
    if words[0] != "cellwright":
        return run_shell(command, "")
    from cellwright.cli import main  # noqa: PLC0415 the other tests do not wait for it

    printed, code = io.StringIO(), 0
    with (
        mock.patch.object(sys, "argv", words),
        contextlib.redirect_stdout(printed),
        contextlib.redirect_stderr(printed),
    ):
        try:
            main()
        except SystemExit as end:
            code = end.code if isinstance(end.code, int) else int(end.code is not None)
    return run_shell(rest, printed.getvalue()) if rest else (printed.getvalue(), code)


def run_shell(command: str, given: str) -> tuple[str, int]:
    """What some other command prints, such as ls or head."""
    done = subprocess.run(
        ["sh", "-c", command], input=given, capture_output=True, text=True, check=False
    )
    return done.stdout + done.stderr, done.returncode


def matches(wanted: str, printed: str) -> bool:
    """Whether a command printed what a page shows.

    ``...`` stands for anything, white space for any white space. Whole numbers must agree;
    numbers with a fraction may differ by 0.03 or a twentieth, because they were learned;
    seconds may be any.
    """
    pattern, position, numbers = "", 0, []
    wanted = wanted.strip()
    for place in _PLACE.finditer(wanted):
        pattern += re.escape(wanted[position : place.start()])
        position = place.end()
        if place["space"]:
            pattern += r"\s+"
        elif place["number"]:
            pattern += r"(\d+\.\d+(?:e[+-]?\d+)?)" + (" s" if place["seconds"] else "")
            numbers.append(None if place["seconds"] else float(place["number"]))
        else:
            pattern += r".*?"
    found = re.fullmatch(pattern + re.escape(wanted[position:]), printed.strip(), re.DOTALL)
    return found is not None and all(
        number is None or abs(number - float(text)) <= max(0.03, 0.05 * number)
        for number, text in zip(numbers, found.groups(), strict=True)
    )


pages = Sybil(
    parsers=[
        PythonCodeBlockParser(doctest_optionflags=DOCTEST),
        CodeBlockParser(language="console", evaluator=run_console),
    ],
    patterns=["README.md", "docs/*.md", "docs/*/*.md"],
    setup=enter_folder,
    teardown=leave_folder,
)
docstrings = Sybil(
    parsers=[DocTestParser(DOCTEST)],
    path="src",
    pattern="*.py",
    setup=enter_folder,
    teardown=leave_folder,
)

pytest_collect_file = (pages + docstrings).pytest()


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Keep the examples of one document together, in their order; spread everything else."""
    from xdist.scheduler import LoadScopeScheduling  # noqa: PLC0415 only with xdist

    class ByDocument(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            return nodeid if nodeid.startswith("tests/") else nodeid.partition("::")[0]

    return ByDocument(config, log) if config.getvalue("dist") == "load" else None
