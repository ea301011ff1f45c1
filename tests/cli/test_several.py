"""How one command becomes several processes."""

import sys

import pytest

from cellwright.cli import several
from cellwright.cli.several import together
from cellwright.errors import SettingError


@pytest.fixture
def started(monkeypatch):
    calls = []
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    monkeypatch.setattr(sys, "argv", ["/bin/cellwright", "fit", "classify", "--devices", "2"])
    monkeypatch.setattr(several, "_torchrun", lambda words: calls.append(words) or 3)
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    return calls


def test_the_command_is_given_to_torchrun(started):
    with pytest.raises(SystemExit) as ended:
        together(2, 1, None)
    assert ended.value.code == 3
    (words,) = started
    assert words[0] == "--standalone"
    assert words[-7:] == [
        "2",
        "--no-python",
        "/bin/cellwright",
        "fit",
        "classify",
        "--devices",
        "2",
    ]


def test_machines_meet_at_a_place(started):
    with pytest.raises(SystemExit):
        together(2, 3, "there:29400")
    (words,) = started
    assert words[words.index("--nnodes") + 1] == "3"
    assert words[words.index("--rdzv-endpoint") + 1] == "there:29400"
    with pytest.raises(SettingError, match="--rendezvous HOST:PORT"):
        together(1, 2, None)


def test_who_is_one_of_them_goes_on(started, monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "2")
    together(2, 1, None)
    assert started == []
