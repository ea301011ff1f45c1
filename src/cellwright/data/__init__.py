"""Real sequences: reading them, checking them, cutting them into batches."""

from cellwright.errors import require_extra

require_extra("jobs", "pandas", "pooch", "sklearn")

from cellwright.data import tasks  # noqa: E402
from cellwright.data.batches import Batch, batches  # noqa: E402
from cellwright.data.labels import as_labels  # noqa: E402
from cellwright.data.readers import Dataset, Labelled, read, read_samples  # noqa: E402
from cellwright.data.sequences import Sequences, as_sequences  # noqa: E402

__all__ = [
    "Batch",
    "Dataset",
    "Labelled",
    "Sequences",
    "as_labels",
    "as_sequences",
    "batches",
    "read",
    "read_samples",
    "tasks",
]
