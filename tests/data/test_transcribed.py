"""What is transcribed: options that mean nothing to a source are refused."""

from pathlib import Path

import pytest

from cellwright.data.transcribed import read_transcribed, read_transcribed_samples
from cellwright.errors import DataError


@pytest.fixture
def table(tmp_path):
    path = tmp_path / "some.csv"
    path.write_text("id,step,x,label\n" + "".join(f"{n},0,{n},a{n}\n" for n in range(9)))
    return str(path)


@pytest.mark.parametrize(
    ("source", "option"),
    [
        ("digit-lines", {"test_files": "zz*"}),
        ("letters.mat", {"test_files": "zz*"}),
        ("letters.mat", {"least": 4}),
        ("letters.mat", {"most": 5, "joined": 9}),
        ("TABLE", {"tested": 9}),
        ("TABLE", {"most": 9}),
    ],
)
def test_options_that_mean_nothing_to_the_data_are_refused(table, source, option):
    with pytest.raises(DataError, match=f"{next(iter(option))}=.* means nothing to these data"):
        read_transcribed(table if source == "TABLE" else source, **option)


def test_options_left_from_what_was_learned_do_not_hinder(table):
    reading = {"joined": 20, "tested": 5, "test_files": "a*", "test_fraction": 0.5}
    assert len(read_transcribed_samples("digit-lines", reading)) == 5
    assert len(read_transcribed_samples(table, reading)) == 9


def test_the_division_is_checked(table):
    with pytest.raises(DataError, match=r"test_fraction=1\.5: must lie between 0 and 1"):
        read_transcribed(table, test_fraction=1.5)
    assert len(read_transcribed(table, test_fraction=0.3).test) == 3


@pytest.mark.parametrize("row", range(9))
def test_a_text_that_says_nothing_is_found_before_the_training(table, row):
    path = Path(table)
    path.write_text(path.read_text().replace(f",a{row}\n", ",  \n"))
    with pytest.raises(DataError, match=f"some.csv: the text of '{row}' is an empty text"):
        read_transcribed(table)
