"""The compiled backends that there are here."""

import os

import pytest
import torch
from odd_cells import GRAPHS

from cellwright.backends import BACKENDS


def compiled_backends():
    graph, device = GRAPHS["elman"], torch.device("cpu")
    names = [name for name in BACKENDS if name != "reference"]
    return [n for n in names if BACKENDS[n].answer(graph, device, torch.float64).possible]


@pytest.fixture(params=["cpu"])
def backend(request, monkeypatch):
    if os.environ.get("CELLWRIGHT_TEST_OWN_THREADS"):  # see test_builds.py
        monkeypatch.setattr("cellwright.backends.cpu.library.openmp", lambda: (0, 0))
    if request.param not in compiled_backends():
        pytest.skip("there is no compiler here")
    return request.param
