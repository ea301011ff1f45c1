"""Labelled data of every kind: how they are divided, and what does not go together."""

import gzip
from pathlib import Path

import numpy as np
import pytest

from cellwright.data.labelled_sources import read_labelled, read_labelled_samples
from cellwright.data.text_lines import Texts
from cellwright.errors import DataError, SettingError

soundfile = pytest.importorskip("soundfile")


@pytest.fixture
def lines(tmp_path):
    path = tmp_path / "reviews.txt"
    path.write_text("".join(f"{n % 2} text {n}\n" for n in range(20)))
    return path


@pytest.fixture
def sounds(tmp_path):
    folder = tmp_path / "sounds"
    folder.mkdir()
    for n in range(12):
        wave = np.sin(np.arange(1600) * (0.2 + 0.3 * (n % 2)))
        soundfile.write(folder / f"{'ab'[n % 2]}_{n}.wav", wave, 8000)
    return folder


def test_texts_are_divided_by_label_or_at_the_end(lines):
    data = read_labelled(str(lines), test_fraction=0.3)
    assert data.name == "reviews"
    assert sorted(data.test.y) == ["0"] * 3 + ["1"] * 3
    data = read_labelled(str(lines), test_fraction=0.3, split="last")
    assert list(data.test.x) == [f"text {n}" for n in range(14, 20)]
    assert data.test.ids == list(range(14, 20))


def test_the_name_of_a_file_tells_texts_from_packed_tables(lines, tmp_path):
    tabs = lines.rename(tmp_path / "reviews.tsv")
    assert isinstance(read_labelled(str(tabs)).train.x, Texts)
    rows = "".join(f"{n},{step},{n},{n % 2}\n" for n in range(20) for step in range(3))
    table = tmp_path / "walks.csv.gz"
    table.write_bytes(gzip.compress(f"id,step,height,label\n{rows}".encode()))
    data = read_labelled(str(table))
    assert (data.name, data.train.x.names) == ("walks", ("height",))
    assert len(read_labelled_samples(str(table)).x) == 20


def test_all_that_can_be_read_is_listed_where_a_name_is_not_known():
    for read in (read_labelled, read_labelled_samples):
        with pytest.raises(DataError, match=r"mean 'digits'\? Known: .* WAV files.*\.txt, \.tsv"):
            read("digit")


def test_a_test_part_may_lie_in_a_file_of_its_own(lines, tmp_path):
    other = tmp_path / "test.txt"
    other.write_text("1 new\n")
    data = read_labelled(str(lines), test=str(other))
    assert (len(data.train.x), list(data.test.x)) == (20, ["new"])


def test_recordings_are_divided_by_their_names(sounds):
    data = read_labelled(str(sounds), test_files="*_[0-2].wav")
    assert data.test.ids == ["a_0.wav", "a_2.wav", "b_1.wav"]
    assert data.test.y.tolist() == ["a", "a", "b"]
    assert len(data.train.x) == 9
    again = read_labelled(str(sounds), test_files="*_[0-2].wav")
    assert again.fingerprint == data.fingerprint
    assert read_labelled(str(sounds), test_files="*_1.wav").fingerprint != data.fingerprint


def test_samples_are_read_whole(lines, sounds):
    assert len(read_labelled_samples(str(lines)).x) == 20
    assert len(read_labelled_samples(str(sounds)).x) == 12
    assert len(read_labelled_samples("digits").x) == 360


@pytest.mark.parametrize(
    ("source", "options", "words"),
    [
        ("digits", {"split": "last"}, "means nothing to these data"),
        ("digits", {"test": "other.txt"}, "goes with a file or folder"),
        ("digits", {"test_files": "*"}, "means nothing to these data"),
        ("LINES", {"test": "more.txt", "folder": Path("here")}, "folder=.* means nothing"),
        ("LINES", {"test": "more.txt", "split": "last"}, "split='last' means nothing"),
        ("SOUNDS", {"test": "SOUNDS", "test_files": "*"}, "test_files='\\*' means nothing"),
        ("SOUNDS", {"test_files": "*", "split": "last"}, "split='last' means nothing"),
        ("LINES", {"test_files": "*"}, "is a pattern of recordings"),
        ("SOUNDS", {"test_files": "*_99.wav"}, "no recording's name fits"),
        ("LINES", {"split": "last", "test_fraction": 0.01}, "cannot be divided"),
        ("LINES", {"test_fraction": 0.01}, "cannot be divided"),
        ("nowhere.txt", {}, "no file nowhere.txt"),
    ],
)
def test_what_does_not_go_together_is_refused(lines, sounds, source, options, words):
    source = {"LINES": str(lines), "SOUNDS": str(sounds)}.get(source, source)
    with pytest.raises(DataError, match=words):
        read_labelled(source, **options)


def test_a_label_of_the_test_alone_is_refused_before_anything_is_learned(lines, tmp_path):
    other = tmp_path / "test.txt"
    other.write_text("1 known\n2 new\n")
    with pytest.raises(DataError, match="sample 1 of the test part has the label '2'"):
        read_labelled(str(lines), test=str(other))


def table(path, *names):
    rows = "".join(f"{n},0,{','.join('1' * len(names))},{n % 2}\n" for n in range(6))
    path.write_text(f"id,step,{','.join(names)},label\n{rows}")
    return str(path)


def test_numbers_are_the_same_labels_with_a_point_and_without(tmp_path):
    x = np.arange(24.0).reshape(4, 3, 2)
    whole, floating = np.array([0, 1, 0, 1]), np.array([0.0, 1.0, 1.0, 0.0])
    np.savez(tmp_path / "a.npz", X_train=x, y_train=floating, X_test=x, y_test=whole)
    assert read_labelled(str(tmp_path / "a.npz")).test.y.tolist() == [0, 1, 0, 1]
    np.savez(tmp_path / "b.npz", X_train=x, y_train=floating, X_test=x, y_test=whole + 1)
    with pytest.raises(DataError, match="sample 1 of the test part has the label 2"):
        read_labelled(str(tmp_path / "b.npz"))


def test_a_test_part_must_be_of_the_kind_that_is_learned(lines, sounds, tmp_path):
    other = tmp_path / "high"
    other.mkdir()
    for name in ("a_1.wav", "b_1.wav"):
        soundfile.write(other / name, np.sin(np.arange(1600)), 16000)
    numbers = table(tmp_path / "ab.csv", "a", "b")
    for source, test, words in (
        (str(lines), numbers, "not of one kind"),
        (str(sounds), str(lines), "not of one kind"),
        (numbers, str(sounds), "not of one kind"),
        (str(sounds), str(other), "sampled at 8000 Hz but .* at 16000 Hz"),
        (numbers, table(tmp_path / "abc.csv", "a", "b", "c"), "has 2 features but .* has 3"),
        (numbers, table(tmp_path / "ac.csv", "a", "c"), r"ac\.csv: .*missing: b; unknown: c"),
    ):
        with pytest.raises(DataError, match=words):
            read_labelled(source, test=test)
    turned = read_labelled(numbers, test=table(tmp_path / "ba.csv", "b", "a"))
    assert turned.train.x.names == turned.test.x.names == ("a", "b")


def test_a_file_with_a_test_part_takes_no_other(tmp_path):
    x, y = np.zeros((4, 3)), np.array([0, 1, 0, 1])
    np.savez(tmp_path / "both.npz", X_train=x, y_train=y, X_test=x, y_test=y)
    np.savez(tmp_path / "one.npz", X=x, y=y)
    both, one = str(tmp_path / "both.npz"), str(tmp_path / "one.npz")
    with pytest.raises(DataError, match=r"both\.npz: has a test part already"):
        read_labelled(both, test=one)
    assert len(read_labelled(one, test=both).test.x) == 4


def test_a_split_is_known(lines):
    with pytest.raises(SettingError, match="split='lst': known are random, last.* 'last'"):
        read_labelled(str(lines), split="lst")


def test_a_named_data_set_is_meant_where_a_folder_is_called_so(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "digits").mkdir()
    assert len(read_labelled("digits").test.x) == len(read_labelled_samples("digits").x) == 360
    with pytest.raises(DataError, match="holds no WAV files"):
        read_labelled("./digits")
