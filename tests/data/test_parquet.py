"""A Parquet file holds what the CSV file holds that it was made of."""

import numpy as np
import pandas as pd
import pytest

from cellwright.data import read, read_samples
from cellwright.data.labelled_sources import read_labelled
from cellwright.data.step_data import read_step_data
from cellwright.data.step_tables import StepColumns, read_step_table
from cellwright.errors import DataError

pytest.importorskip("pyarrow")


@pytest.fixture
def table():
    rng = np.random.default_rng(0)
    rows = [(n // 4, n % 4, rng.normal(), n // 4 % 2) for n in range(80)]
    return pd.DataFrame(rows, columns=["id", "step", "speed", "label"])


@pytest.fixture
def write(tmp_path):
    def written(table):
        table.to_csv(tmp_path / "t.csv", index=False)
        table.to_parquet(tmp_path / "t.parquet")
        return tmp_path / "t.csv", tmp_path / "t.parquet"

    return written


def test_labelled_sequences_are_the_same(table, write):
    plain, packed = (read_samples(str(path)) for path in write(table))
    assert packed.x.fingerprint == plain.x.fingerprint
    assert packed.ids == plain.ids == [str(n) for n in range(20)]
    assert packed.y.dtype == plain.y.dtype
    assert packed.y.tolist() == plain.y.tolist()
    one, other = (read(str(path)) for path in write(table))
    assert one.test.y.tolist() == other.test.y.tolist()
    apart = read_labelled(str(write(table)[1]), test="t.csv")
    assert len(apart.train.ids) == len(apart.test.ids) == 20


@pytest.mark.parametrize("missing", [False, True])
def test_labels_of_steps_are_the_same(table, write, missing):
    if missing:
        table["label"] = table["label"].astype(float).mask(table["step"] == 2)
        table["label"] = table["label"].astype("Int64")
    table["when"] = pd.Timestamp("2024-01-31 23:58") + pd.to_timedelta(table["step"], "min")
    columns = StepColumns(labels=("label",), step="when", time_of_day=True)
    paths = write(table)
    plain, packed = (read_step_table(path, columns) for path in paths)
    assert packed.x.fingerprint == plain.x.fingerprint
    assert [a.tolist() for a in packed.y] == [a.tolist() for a in plain.y]
    assert packed.ids == plain.ids
    found = read_step_data(str(paths[1]), columns=columns)
    assert len(found.train.ids) == 16


def test_mistakes_are_told_by_row(table, write):
    table.loc[5, "speed"] = np.inf
    with pytest.raises(DataError, match="t.parquet, row 6, column 'speed': expected a finite"):
        read_samples(str(write(table)[1]))
    with pytest.raises(DataError, match="no column 'id' among name"):
        read_samples(str(write(table.rename(columns={"id": "name"}))[1]))
