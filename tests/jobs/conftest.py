"""What tests of jobs share."""

import pytest
from comparisons import work_here, write_data


@pytest.fixture
def here(tmp_path, monkeypatch):
    """A folder with data, where the work of a comparison's processes is done without them."""
    write_data(tmp_path / "data.npz")
    monkeypatch.chdir(tmp_path)
    work_here(monkeypatch)
    return tmp_path
