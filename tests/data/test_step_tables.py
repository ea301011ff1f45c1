"""Tables with a row a step: what is read, and what is refused by line and column."""

import gzip
import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cellwright.data.step_tables import StepColumns, read_step_table
from cellwright.errors import DataError

ROOT = os.environ.get("CELLWRIGHT_SHARED_DATA")
BESIDE = Path(__file__).parents[2] / "../shared/data"
OCCUPANCY = (Path(ROOT) if ROOT else BESIDE) / "occupancy-detection"

LONG = """id,step,speed,heat,label
b,1,0.5,10,up
a,2,1.5,11,down
b,0,2.5,12,
a,1,3.5,13,up
"""
LOG = """"date","heat","light","busy"
"1","2024-01-01 00:00:00",20.5,1,0
"2","2024-01-01 06:00:00",21.5,2,1
"3","2024-01-01 12:00:00",22.5,3,1
"""
BUSY = StepColumns(labels=("busy",))


@pytest.fixture
def write(tmp_path):
    def write(text, name="some.csv"):
        path = tmp_path / name
        raw = text.encode()
        path.write_bytes(gzip.compress(raw) if name.endswith(".gz") else raw)
        return path

    return write


@pytest.mark.parametrize("name", ["some.csv", "some.csv.gz"])
def test_rows_are_sorted_by_step_within_their_id(write, name):
    table = read_step_table(write(LONG, name), StepColumns())
    assert table.ids == ["b", "a"]
    assert table.x.names == ("speed", "heat")
    assert [value.tolist() for value in table.x] == [
        [[2.5, 12], [0.5, 10]],
        [[3.5, 13], [1.5, 11]],
    ]
    assert [answer.tolist() for answer in table.y] == [[None, "up"], ["up", "down"]]


def test_a_log_of_one_series_is_one_sequence(write):
    table = read_step_table(write(LOG), BUSY)
    assert table.ids == ["some"]
    assert table.x.names == ("heat", "light")
    assert table.y[0].tolist() == [0, 1, 1]
    assert table.y[0].dtype == np.int64


def test_the_time_of_day_goes_round(write):
    table = read_step_table(write(LOG), StepColumns(labels=("busy",), time_of_day=True))
    assert table.x.names[2:] == ("time_of_day_sine", "time_of_day_cosine")
    np.testing.assert_allclose(table.x.values[0][:, 2:], [[0, 1], [1, 0], [0, -1]], atol=1e-12)
    with pytest.raises(DataError, match="no column of dates"):
        read_step_table(write(LONG), StepColumns(time_of_day=True))


def test_several_labels_make_a_row_of_answers(write):
    columns = StepColumns(labels=("heat", "label"), features=("speed",))
    table = read_step_table(write(LONG), columns)
    assert table.x.names == ("speed",)
    assert table.y[1].tolist() == [[13, "up"], [11, "down"]]
    numbers = read_step_table(write(LONG), StepColumns(labels=("speed",), features=("heat",)))
    assert numbers.y[0].tolist() == [2.5, 0.5]


def test_labels_may_be_missing_from_what_is_predicted(write):
    text = LONG.replace(",label", ",other").replace(",up", ",1").replace(",down", ",2")
    path = write(text.replace("12,", "12,0"))
    assert read_step_table(path, StepColumns(), labelled=False).y is None
    with pytest.raises(DataError, match="there is no column 'label' among id, step, speed"):
        read_step_table(path, StepColumns())


@pytest.mark.parametrize("columns", [StepColumns(id="idd"), StepColumns(step="idd")])
@pytest.mark.parametrize("labelled", [True, False])
def test_a_column_of_ids_or_steps_that_is_named_must_be_there(write, columns, labelled):
    with pytest.raises(DataError, match=r"no column 'idd' among id, step.*Did you mean 'id'"):
        read_step_table(write(LONG), columns, labelled=labelled)


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("1.5", "fast", r"line 3, column 'speed': expected a finite number, got 'fast'"),
        ("1.5", "", r"line 3, column 'speed': expected a finite number, got nothing"),
        ("1.5", "inf", r"line 3, column 'speed': expected a finite number, got 'inf'"),
        ("a,2", "a,", r"line 3, column 'step': expected a finite number, got nothing"),
        ("a,2", "a,x", r"line 3, column 'step': expected a finite number, got 'x'"),
        ("a,2", ",2", r"line 3, column 'id': expected an id, got nothing"),
        ("a,1", "a,2", r"line 5, column 'step': the sequence has this step already"),
        ("heat", "speed", r"there are two columns 'speed'"),
        (",heat", ",", r"column 4 has no name"),
        ("down", "down,1", r"not a readable CSV.*line 3"),
        ("id,step,speed,heat,label\n", "", r"there is no column 'label' among b, 1, 0.5, 10, up"),
    ],
)
def test_what_is_wrong_is_refused_by_line_and_column(write, old, new, said):
    assert old in LONG
    with pytest.raises(DataError, match=said):
        read_step_table(write(LONG.replace(old, new, 1)), StepColumns())


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("2024-01-01 06:00:00", "soon", r"line 3, column 'date': .* date and time, got 'soon'"),
        ("06:00", "12:00", r"line 4, column 'date': the sequence has this step already"),
        ("21.5", '"x"', r"line 3, column 'heat'"),
    ],
)
def test_a_log_is_held_to_its_dates(write, old, new, said):
    with pytest.raises(DataError, match=said):
        read_step_table(write(LOG.replace(old, new, 1)), BUSY)


def test_rows_of_a_log_that_are_out_of_order_are_sorted(write):
    lines = LOG.splitlines()
    table = read_step_table(write("\n".join([lines[0], lines[3], "", lines[1], lines[2]])), BUSY)
    assert table.x.values[0][:, 0].tolist() == [20.5, 21.5, 22.5]


def test_dates_with_dots_are_sorted_by_their_months(write):
    rows = "31.01.2024,1,0\n02.01.2024,0,0\n01.02.2024,2,1\n"
    table = read_step_table(write("date,heat,busy\n" + rows), BUSY)
    assert table.x.values[0][:, 0].tolist() == [0, 1, 2]
    rows = "02.01.2024,0,0\n01.02.2024,1,1\n"
    table = read_step_table(write("date,heat,busy\n" + rows), BUSY)
    assert table.x.values[0][:, 0].tolist() == [0, 1]


def test_an_empty_file_is_refused(write):
    for text in ("", "id,step,x,label\n"):
        with pytest.raises(DataError, match=r"some.csv: (not a readable CSV|has a header)"):
            read_step_table(write(text), StepColumns())
    path = write(LONG, "cut.csv.gz")
    path.write_bytes(path.read_bytes()[:40])
    with pytest.raises(DataError, match=r"cut.csv.gz: cannot be read, is cut off or damaged"):
        read_step_table(path, StepColumns())


def test_another_encoding_is_refused(write):
    path = write("")
    path.write_bytes(LONG.replace("up", "à").encode("latin-1"))
    with pytest.raises(DataError, match="line 2, byte 12: not UTF-8"):
        read_step_table(path, StepColumns())


@given(st.binary(max_size=40), st.integers(0, len(LONG)))
@settings(max_examples=60)
def test_damage_is_refused_in_words_or_read(tmp_path_factory, damage, at):
    path = tmp_path_factory.mktemp("tables") / "some.csv"
    path.write_bytes(LONG.encode()[:at] + damage + LONG.encode()[at:])
    said = ""
    try:
        table = read_step_table(path, StepColumns())
        assert [len(value) for value in table.x] == [len(answer) for answer in table.y]
    except DataError as error:
        said = str(error)
    assert not said or str(path) in said


@pytest.mark.skipif(not OCCUPANCY.is_dir(), reason="the data do not lie beside the project")
@pytest.mark.parametrize(
    ("name", "rows", "occupied"),
    [("datatraining", 8143, 1729), ("datatest", 2665, 972), ("datatest2", 9752, 2049)],
)
def test_the_occupancy_files_have_the_rows_that_they_say(name, rows, occupied):
    columns = StepColumns(labels=("Occupancy",))
    table = read_step_table(OCCUPANCY / f"{name}.txt.gz", columns)
    assert table.ids == [name]
    assert table.x.values[0].shape == (rows, 5)
    assert table.y[0].sum() == occupied
