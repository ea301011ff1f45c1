"""Data with an answer at every step, by name or path; what does not go together."""

import numpy as np
import pytest

from cellwright.data.step_data import read_step_data, read_step_samples
from cellwright.data.step_tables import StepColumns
from cellwright.errors import DataError

TABLE = "id,step,x,label\n" + "".join(f"{n},{t},{t},{n % 2}\n" for n in range(6) for t in range(3))
WORD = "{}\t{}\t{}\tNOUN\t_\t{}\t0\troot\t_\t_\n"
BANK = "\n".join(WORD.format(1, w, w, f) + "\n" for w, f in (("cats", "Number=Plur"), ("and", "_")))
BARE = WORD.format(1, "so", "so", "_") + "\n"


@pytest.fixture
def sources(tmp_path):
    (tmp_path / "bank").mkdir()
    for part in ("train", "test"):
        (tmp_path / "bank" / f"xx-{part}.conllu").write_text(BANK)
    (tmp_path / "bank.conllu").write_text(BANK)
    (tmp_path / "bare.conllu").write_text(BARE)
    (tmp_path / "some.csv").write_text(TABLE)
    return lambda name: name if name == "clips" else str(tmp_path / name)


@pytest.mark.parametrize(
    ("source", "option"),
    [
        ("clips", {"test": ["some.csv"]}),
        ("bank", {"test": ["bank.conllu"]}),
        ("bank", {"columns": StepColumns(labels=("x",))}),
        ("clips", {"columns": StepColumns(time_of_day=True)}),
        ("some.csv", {"column": "xpos"}),
        ("bank.conllu", {"clips": 20}),
        ("some.csv", {"clips": 20}),
    ],
)
def test_options_that_mean_nothing_to_the_data_are_refused(sources, source, option):
    with pytest.raises(DataError, match="means nothing to these data"):
        read_step_data(sources(source), **option)


def test_clips_of_digits_lie_in_no_folder(tmp_path):
    for read in (read_step_data, read_step_samples):
        with pytest.raises(DataError, match="goes with mnist-clips, not with clips"):
            read("clips", tmp_path)


def test_the_division_is_checked(sources):
    with pytest.raises(DataError, match=r"test_fraction=1\.5: must lie between 0 and 1"):
        read_step_data(sources("some.csv"), test_fraction=1.5)
    data = read_step_data(sources("some.csv"), test=["some.csv"])
    assert (len(data.train.x), len(data.test.x)) == (6, 6)


def test_no_features_are_an_answer_and_an_unknown_tag_is_none(sources):
    data = read_step_data(sources("bank"), column="feats")
    assert [answer.tolist() for answer in data.train.y] == [["Number=Plur"], ["_"]]
    tags = read_step_samples(sources("bank.conllu"), column="xpos")
    assert tags.y is None
    assert read_step_samples(sources("bare.conllu"), column="feats").y is None
    both = read_step_samples(sources("bank.conllu"), column="upos")
    assert np.concatenate(both.y).tolist() == ["NOUN", "NOUN"]
