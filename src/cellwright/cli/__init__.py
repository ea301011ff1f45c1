"""The command line: a thin shell over `cellwright.jobs` and `cellwright.cells`."""

import sys

from cellwright.errors import MissingExtraError, require_extra

__all__ = ["main"]


def main() -> None:
    """Run the command line."""
    try:
        require_extra("jobs", "typer", "rich")
        from cellwright.cli.app import run  # noqa: PLC0415 only now is it known to be importable
    except MissingExtraError as error:
        sys.exit(f"cellwright: {error}")
    except KeyboardInterrupt:
        sys.exit(130)
    run()
