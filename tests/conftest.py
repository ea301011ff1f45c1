"""What tests of several rooms need."""

import signal
from collections.abc import Iterator
from typing import Any

import hypothesis
import numpy as np
import numpy.typing as npt
import pytest

from cellwright.settings import settings

# A limit for each example would be a timed test, and machines are shared.
hypothesis.settings.register_profile("untimed", deadline=None)
hypothesis.settings.load_profile("untimed")

Waves = tuple[list[npt.NDArray[np.float64]], list[str]]


@pytest.fixture
def waves() -> Waves:
    """Ragged sequences of two features whose class is plain: 24 rising, 24 falling."""
    rng = np.random.default_rng(0)
    x, y = [], []
    for number in range(48):
        slope = rng.random((3 + number % 5, 2)).cumsum(0)
        x.append(slope if number % 2 else -slope)
        y.append("up" if number % 2 else "down")
    return x, y


@pytest.fixture
def fresh_settings() -> Iterator[Any]:
    """Settings are read anew, in the test and after it."""
    settings.cache_clear()
    yield
    settings.cache_clear()


def pytest_configure():
    """Let Ctrl-C be heard: whom a shell starts in the background inherits that it is ignored."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_terminal_summary(terminalreporter):
    """Tell how large the grid was that the conformance tests went through."""
    cases = {}
    for report in terminalreporter.getreports("passed"):
        for name, number in report.user_properties:
            if name == "cases":
                test = report.nodeid.partition("[")[0]
                cases[test] = cases.get(test, 0) + number
    for test, number in sorted(cases.items()):
        terminalreporter.write_line(f"conformance grid: {number} cases in {test}")


def pytest_make_parametrize_id(config, val, argname):
    """Bytes may hold the time at which they were packed, and a test's name must not."""
    return argname if isinstance(val, bytes) else None
