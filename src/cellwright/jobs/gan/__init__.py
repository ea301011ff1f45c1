"""Many to many, synced: making sequences like those that were shown."""

from cellwright.jobs.gan.estimator import SequenceGAN
from cellwright.jobs.gan.job import JOB
from cellwright.jobs.gan.realism import (
    TrainOnSynthetic,
    discriminative_score,
    prediction_error,
    train_on_synthetic,
)

__all__ = [
    "JOB",
    "SequenceGAN",
    "TrainOnSynthetic",
    "discriminative_score",
    "prediction_error",
    "train_on_synthetic",
]
