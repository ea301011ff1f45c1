"""What is known of a job before anything of it is imported."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Entry"]


@dataclass(frozen=True)
class Entry:
    """A job as the command line offers it.

    Attributes
    ----------
    name
        Such as ``"classify"``.
    about
        One line: what is learned, and the topology.
    data
        Source that is read where none is named; it needs no file and no network.
    data_help
        What can be named instead.
    options
        The estimator's options, a dataclass.
    reading
        How its data are read, a dataclass of options too.
    module
        Where its estimator is, and its `JOB`; imported when it is first used.
    named
        Further sources that go by a name: no file or folder, even where there is one called so.
    """

    name: str
    about: str
    data: str
    data_help: str
    options: type
    reading: type
    module: str
    named: tuple[str, ...] = ()
