"""A real process, stopped by the user or killed, goes on and ends with the same weights."""

import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from cellwright.jobs import RunFolder, read_config, run

PROGRAM = "from cellwright.cli import main; main()"
FLAGS = ["--layers", "8", "--dropout", "0.2", "--zoneout", "0.1", "--patience", "99"]
# So many that a busy machine is not through with them before it is stopped.
EPOCHS = "40"


def start(folder, *words):
    command = [sys.executable, "-u", "-c", PROGRAM, "fit", "classify", "--data", "data.npz"]
    return subprocess.Popen(
        [*command, "--out", "cut", "--epochs", EPOCHS, *FLAGS, *words],
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.fixture
def folder(tmp_path):
    rng = np.random.default_rng(0)
    np.savez(tmp_path / "data.npz", X=rng.normal(size=(600, 12, 2)), y=np.arange(600) % 2)
    return tmp_path


@pytest.mark.parametrize("kind", [signal.SIGINT, signal.SIGKILL])
def test_a_process_stopped_at_any_moment_goes_on(folder, kind, monkeypatch):
    # While Python starts, in the first epoch, and in the middle of later ones.
    for moment in ("", "classify data", "epoch   2", "epoch   5"):
        process = start(folder, "--resume")
        assert process.stdout is not None
        if moment:
            for line in process.stdout:
                if line.startswith(moment):
                    break
        time.sleep(0.05 if moment else 0.3)
        process.send_signal(kind)
        output, errors = process.communicate(timeout=60)
        if kind == signal.SIGKILL:
            assert process.returncode == -signal.SIGKILL
        else:
            assert process.returncode == 130
            assert "Traceback" not in errors
            if moment:
                assert "interrupted; go on with: cellwright fit classify --out cut" in output
        assert not (folder / "cut/result.json").exists()
    monkeypatch.chdir(folder)
    cut, whole = RunFolder(folder / "cut"), RunFolder(folder / "whole")
    config = read_config(cut.config_file)
    first = load_file(cut.checkpoint)
    run(config, cut, resume=True)
    run(config, whole)
    weights = load_file(whole.model)
    for name, weight in load_file(cut.model).items():
        assert torch.equal(weight, weights[name]), name
    assert any(not torch.equal(first[f"network.{name}"], w) for name, w in weights.items())


@pytest.mark.skipif(not hasattr(os, "openpty"), reason="needs a terminal of Unix")
def test_a_terminal_shows_a_live_bar(folder):
    import pty

    near, far = pty.openpty()
    command = [sys.executable, "-c", PROGRAM, "fit", "classify", "--data", "data.npz"]
    environment = os.environ | {"TERM": "xterm", "COLUMNS": "100"}
    with subprocess.Popen(
        [*command, "--epochs", "2", *FLAGS], cwd=folder, stdout=far, env=environment
    ) as process:
        os.close(far)
        shown = b""
        while True:
            try:
                piece = os.read(near, 4096)
            except OSError:  # on Linux a terminal whose other end is closed gives an error
                break
            if not piece:
                break
            shown += piece
        os.close(near)
        assert process.wait(60) == 0
    assert "━".encode() in shown
    assert b"/s" in shown
    assert shown.count(b"test accuracy") == 1
    assert b"\x1b[?25h" in shown.partition(b"test accuracy")[0], "the cursor is given back"
