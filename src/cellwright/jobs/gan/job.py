"""How a run folder's sequences are made."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from cellwright.data import Dataset, Labelled
from cellwright.data.labels import label_numbers
from cellwright.errors import DataError
from cellwright.jobs.asked import Asked
from cellwright.jobs.estimator import Hooks
from cellwright.jobs.gan.estimator import SequenceGAN
from cellwright.jobs.gan.reading import read_dataset, read_labelled
from cellwright.jobs.gan.realism import discriminative_score
from cellwright.jobs.job import Job
from cellwright.look.gan_picture import draw_made_and_real
from cellwright.look.pictures import save_picture

__all__ = ["JOB"]

_DRAWN = 1000


class _Make(Job[SequenceGAN, Dataset]):
    """Sequences with classes or without, and a test part to hold made ones against."""

    estimator = SequenceGAN
    files = ("made_and_real.png",)

    def read(self, asked: Asked) -> Dataset:
        data = read_dataset(asked.source, asked.folder, asked.reading)
        _check_test(asked.source, data)
        return data

    def facts(self, data: Dataset) -> dict[str, Any]:
        found = {
            "train": len(data.train.x),
            "test": len(data.test.x),
            "features": data.train.x.features,
        }
        if data.train.y is not None:
            found["classes"] = len(np.unique(data.train.y))
        return found

    def fit(self, model: SequenceGAN, data: Dataset, hooks: Hooks) -> None:
        model.fit(data.train.x, data.train.y, **hooks)

    def finish(self, model: SequenceGAN, data: Dataset, folder: Path) -> dict[str, Any]:
        learned = model.train_on_synthetic(data.train.x, data.test.x, data.train.y, seeds=(0,))
        made = model.sample_like(data.test.x, data.test.y)
        picture = draw_made_and_real(
            list(data.test.x)[:_DRAWN], list(made)[:_DRAWN], names=data.test.x.names
        )
        save_picture(picture, folder / "made_and_real.png")
        result = {
            "synthetic_to_real": learned.ratio,
            "error_from_synthetic": learned.synthetic,
            "error_from_real": learned.real,
        }
        if len(made) >= 10:
            result["discriminative_score"] = discriminative_score(data.test.x, made, seeds=(0,))
        return result | {"samples": len(made)}

    def read_samples(self, asked: Asked) -> Labelled:
        return read_labelled(asked.source, asked.folder, asked.reading)

    def test_part(self, data: Dataset) -> Labelled:
        return data.test

    def predictions(
        self, model: SequenceGAN, samples: Labelled, *, probabilities: bool
    ) -> pd.DataFrame:
        """Made sequences in long form, one for each sample: its id, length and class."""
        if probabilities:
            raise self.refuse_probabilities("a made sequence")
        made = model.sample_like(samples.x, samples.y)
        names = made.names or [f"feature_{number}" for number in range(made.features)]
        lengths = made.lengths
        table: pd.DataFrame = pd.DataFrame(np.concatenate(list(made)), columns=list(names))
        table.insert(0, "id", np.repeat(np.array(samples.ids, dtype=object), lengths))
        table.insert(1, "step", np.concatenate([np.arange(steps) for steps in lengths]))
        if samples.y is not None and model.classes_ is not None:
            table["label"] = np.repeat(samples.y, lengths)
        return table

    def scores(self, model: SequenceGAN, samples: Labelled) -> tuple[dict[str, Any], str]:
        made = model.sample_like(samples.x, samples.y)
        score = discriminative_score(samples.x, made)
        report = (
            f"discriminative score {score:.4f} on {len(made)} sequences, mean of 3 judges "
            f"(0: nobody can tell made from real, 0.5: always)"
        )
        return {"discriminative_score": score, "samples": len(made)}, report


def _check_test(source: str, data: Dataset) -> None:
    """What the test would be refused for is found before the training, not after."""
    train, test = data.train, data.test
    if test.x.features != train.x.features:
        raise DataError(
            f"{source}: the test part has {test.x.features} features at each step, the training "
            f"part {train.x.features}"
        )
    for name, part in (("training", train), ("test", test)):
        if (part.x.lengths < 2).all():
            raise DataError(
                f"{source}: no sequence of the {name} part has a second step, which could be told "
                f"from the first"
            )
    if test.y is None:
        return
    if train.y is None:
        raise DataError(f"{source}: the test part has classes, and the training part has none")

    def place(at: int) -> str:
        return f"{source}: the class of the sample {test.ids[at]!r} of the test part"

    label_numbers(test.y, np.unique(train.y), place=place)


JOB = _Make()
