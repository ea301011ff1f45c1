"""Bach's chorales as piano rolls, key by key."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from cellwright.data.piano_roll import KEYS, PianoRoll, read_piano_rolls
from cellwright.data.sequences import Sequences
from cellwright.data.tasks.measures import label_sets
from cellwright.data.tasks.task import Criterion, Parts, Task, TaskData

__all__ = ["jsb_chorales"]


def jsb_chorales(path: str | Path) -> Task:
    """Predict the keys that are down at the next step, of 88, given those so far.

    The loss is the binary cross entropy summed over the keys, as a mean over all steps that
    are predicted, in nats: of a piece of T steps those from the second on. Pieces, steps and
    division (229 to learn from, 76 to watch, 77 to test) are those of the paper.

    Parameters
    ----------
    path
        The file ``JSB_Chorales.mat``; see `cellwright.data.piano_roll.read_piano_rolls`.

    Raises
    ------
    DataError
        The file is missing or holds no piano rolls.

    References
    ----------
    Boulanger-Lewandowski, Bengio and Vincent, "Modeling temporal dependencies in
    high-dimensional sequences", ICML (2012). With about 20 thousand weights Chung et al.,
    "Empirical evaluation of gated recurrent neural networks on sequence modeling" (2014),
    report 9.10 (tanh), 8.54 (GRU) and 8.67 (LSTM).
    """
    parts = Parts(*(_predicting(rolls) for rolls in read_piano_rolls(Path(path))))

    def make(count: int, generator: np.random.Generator) -> TaskData:
        return parts.training.take(generator.integers(0, len(parts.training), count))

    assert parts.training.counted is not None
    assert parts.test.counted is not None
    # Laplace's rule: a key that is never down in the training part may be in the test.
    downs = parts.training.targets[parts.training.counted]
    share = (downs.sum(0) + 1) / (len(downs) + 2)
    played = parts.test.targets[parts.test.counted].mean(0)
    baseline = -(played * np.log(share) + (1 - played) * np.log1p(-share)).sum()
    return Task(
        name="jsb_chorales",
        question=f"which of {KEYS} keys are down at the next step",
        source="Boulanger-Lewandowski et al. 2012",
        target="labels a step",
        features=KEYS,
        outputs=KEYS,
        steps=max(part.targets.shape[1] for part in (parts.training, parts.validation, parts.test)),
        baseline=float(baseline),
        criterion=Criterion(
            "at most 8.54, the best that Chung et al. (2014) report with 20 thousand weights",
            {"loss": 8.54},
        ),
        measure=label_sets,
        make=make,
        predicts_next=True,
        parts=parts,
    )


def _predicting(rolls: Sequence[PianoRoll]) -> TaskData:
    lengths = np.array([len(roll) - 1 for roll in rolls])
    targets = np.zeros((len(rolls), int(lengths.max()), KEYS), np.float32)
    for row, roll in enumerate(rolls):
        targets[row, : lengths[row]] = roll[1:]
    counted = np.arange(targets.shape[1]) < lengths[:, None]
    x = Sequences([roll[:-1].astype(np.float32) for roll in rolls])
    return TaskData(x, targets, counted)
