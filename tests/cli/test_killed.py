"""Whatever the job, what is killed, and interrupted, goes on and ends with the same weights."""

import signal
import subprocess
import sys

import pytest
import torch
from safetensors.torch import load_file

from cellwright.jobs import Reporter, RunFolder, read_config, run
from cellwright.jobs.registry import ENTRIES, job_of
from cellwright.jobs.training.tensor_file import read_tensors

PROGRAM = "from cellwright.cli import main; main()"
FLAGS = ["--epochs", "3", "--layers", "4", "--threads", "1", "--device", "cpu", "--dropout", "0.1"]
# What makes the small data of a job smaller, and its epochs shorter.
SMALLER = {
    "classify": ["--bidirectional"],
    "regress": ["--patience", "2"],
    "forecast": ["--windows-per-series", "4", "--members", "2"],
    "gan": ["--batch-size", "64", "--spectral-norm"],
    "label": ["--clips", "60", "--delay", "1", "--no-bidirectional"],
    "translate": ["--batch-size", "256", "--embedding", "4", "--scheduled-sampling", "0.2"],
    "transcribe": ["--joined", "100", "--tested", "10"],
    "caption": ["--scenes", "60", "--embedding", "4", "--image-features", "4", "--filters", "2,4"],
    "language": ["--embedding", "4", "--zoneout", "0.1"],
}


class Interrupt(Reporter):
    """Stops at the second step."""

    left = 2

    def advanced(self, progress):
        self.left -= 1
        if self.left == 0:
            raise KeyboardInterrupt


@pytest.mark.slow  # nine processes import torch, and nine jobs learn twice
@pytest.mark.parametrize("job", ENTRIES)
def test_a_job_that_was_killed_and_interrupted_goes_on(job, tmp_path, monkeypatch):
    command = [sys.executable, "-u", "-c", PROGRAM, "fit", job, "--out", "cut"]
    with subprocess.Popen(
        [*command, *FLAGS, *SMALLER[job]], cwd=tmp_path, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if line.startswith("epoch   1"):
                break
        process.send_signal(signal.SIGKILL)
    assert process.returncode == -signal.SIGKILL
    # What the model is worth is another question.
    monkeypatch.setattr(type(job_of(job)), "finish", lambda *arguments: {})
    cut, whole = RunFolder(tmp_path / "cut"), RunFolder(tmp_path / "whole")
    config = read_config(cut.config_file)
    before = load_file(cut.checkpoint)
    with pytest.raises(KeyboardInterrupt):
        run(config, cut, resume=True, reporter=Interrupt())
    tensors, document = read_tensors(cut.checkpoint)
    assert document["place"]["batches"] == 2
    assert any(not torch.equal(tensors[name], tensor) for name, tensor in before.items())
    run(config, cut, resume=True)
    run(config, whole)
    weights = load_file(whole.model)
    for name, weight in load_file(cut.model).items():
        assert torch.equal(weight, weights[name]), name
