"""Strings and words joined from single digits and characters, and how they are read."""

import numpy as np
import pytest
from scipy.io import savemat
from sklearn.datasets import load_digits

from cellwright.data.audio import Recordings
from cellwright.data.english_words import WORDS
from cellwright.data.joined import digit_lines, join_characters, join_recordings, random_words
from cellwright.data.sequences import Sequences
from cellwright.data.strokes import Trajectories
from cellwright.data.transcribed import read_transcribed, read_transcribed_samples
from cellwright.errors import DataError, SettingError

RATE = 1000


def recordings():
    waves = [np.full(100 * (n + 1), 0.01 * (n + 1), np.float32) for n in range(3)]
    for wave in waves:
        wave[::2] *= -1
    return Recordings(waves, RATE, ("a", "b", "c"), ("0", "1", "2"))


def letters(text="ab", count=4):
    rng = np.random.default_rng(0)
    values = [rng.normal(size=(9 + n, 3)).astype(np.float32) for n in range(count * len(text))]
    return Trajectories(Sequences(values), np.array(list(text) * count))


def test_recordings_are_found_in_their_strings():
    quiet = join_recordings(recordings(), 20, noise=(200, 200), pauses=(0.05, 0.1), seed=3)
    assert quiet.rate == RATE
    for wave, text in zip(quiet.waves, quiet.texts, strict=True):
        assert 3 <= len(text) <= 7
        spoken = sum(100 * (int(digit) + 1) for digit in text)
        silence = len(wave) - spoken
        assert 50 * (len(text) + 1) <= silence <= 100 * (len(text) + 1)
        # Sound and silence take turns, each as long as what stands in the text.
        sounding = np.flatnonzero(np.diff(np.r_[0, np.abs(wave) > 1e-4, 0]))
        runs = sounding[1::2] - sounding[::2]
        assert runs.tolist() == [100 * (int(digit) + 1) for digit in text]
        loudness = [np.abs(wave[start]) for start in sounding[::2]]
        assert all(10**-1.5 - 1e-3 <= each <= 10**-0.7 + 1e-3 for each in loudness)


def test_noise_lies_under_the_speech():
    for distance in (0, 20):
        loud = join_recordings(recordings(), 1, noise=(distance, distance), seed=1)
        still = join_recordings(recordings(), 1, noise=(300, 300), seed=1)
        difference = np.std(loud.waves[0] - still.waves[0])
        speech = still.waves[0][np.abs(still.waves[0]) > 1e-6]
        wanted = np.sqrt(np.mean(speech**2)) * 10 ** (-distance / 20)
        assert difference == pytest.approx(wanted, rel=0.1)


def test_the_seed_decides_everything_and_all_are_used():
    one, same, other = (join_recordings(recordings(), 9, seed=s) for s in (1, 1, 2))
    assert one.texts == same.texts
    assert all(np.array_equal(a, b) for a, b in zip(one.waves, same.waves, strict=True))
    assert one.texts != other.texts
    said = "".join(one.texts)
    assert max(map(said.count, "012")) - min(map(said.count, "012")) <= 1


def test_letters_stand_in_their_words_whole():
    lines = join_characters(letters(), ["ab", "b"], seed=0)
    word = lines.x.values[0]
    assert lines.texts == ["ab", "b"]
    air = np.flatnonzero(word[:, 2] == 0)
    assert len(air) >= 5
    assert (np.diff(air) == 1).all()
    forces = [value[:, 2].tolist() for value in letters().x.values]
    assert word[: air[0], 2].tolist() in forces[::2]  # an a, its force as it was
    assert word[air[-1] + 1 :, 2].tolist() in forces[1::2]


def test_the_pen_comes_down_right_of_what_is_written():
    for seed in range(20):
        word = join_characters(letters(), ["ab"], seed=seed).x.values[0]
        path, air = word[:, :2].cumsum(0), np.flatnonzero(word[:, 2] == 0)
        first, second = path[: air[0]], path[air[-1] + 1 :]
        gap = second[:, 0].min() - first[:, 0].max()
        assert 2 - 1e-3 <= gap <= 12 + 1e-3
        middles = [(part[:, 1].min() + part[:, 1].max()) / 2 for part in (first, second)]
        assert abs(middles[0] - middles[1]) <= 4 + 1e-3


@pytest.mark.parametrize(
    ("words", "message"),
    [(["ab", "axb"], r"words\[1\] is 'axb': there is no trajectory of x"), ([""], "is empty")],
)
def test_words_that_nobody_can_write(words, message):
    with pytest.raises(DataError, match=message):
        join_characters(letters(), words)


def test_lines_of_digits_are_read_from_the_left():
    lines = digit_lines(30, seed=5)
    assert lines.x.features == 8
    assert all(3 <= len(text) <= 7 for text in lines.texts)
    assert all(0 <= value.min() <= value.max() <= 1 for value in lines.x)
    assert {len(t) for t in digit_lines(30, least=2, most=2).texts} == {2}
    test = digit_lines(30, test=True, seed=5)
    assert not any(np.array_equal(a, b) for a in test.x for b in lines.x)
    assert len(random_words("ab", 9, least=2, most=3, seed=1)) == 9


def test_ranges_that_are_none():
    for options in ({"least": 0}, {"least": 4, "most": 3}):
        with pytest.raises(SettingError, match="least="):
            join_recordings(recordings(), 2, **options)
    silent = Recordings(recordings().waves, RATE, ("a", "b", "c"), None)
    with pytest.raises(DataError, match="nothing tells what is heard"):
        join_recordings(silent, 2)


def test_the_words_have_the_letters_of_the_trajectories():
    assert set("".join(WORDS)) == set("abcdeghlmnopqrsuvwyz")
    assert list(WORDS) == sorted(set(WORDS))
    assert min(map(len, WORDS)) >= 3


def test_words_of_the_test_are_others_written_with_other_letters(tmp_path):
    key, count = "abcdeghlmnopqrsuvwyz", 200
    values = np.empty((1, count), object)
    for number in range(count):  # the force tells which trajectory it is
        values[0, number] = np.full((3, 6), number + 1.0)
    names = np.empty((1, len(key)), object)
    names[0, :] = list(key)
    numbers = np.arange(count)[None] % len(key) + 1
    savemat(tmp_path / "w.mat", {"xtrain": values, "ytrain": numbers, "key": names})
    data = read_transcribed(str(tmp_path / "w.mat"), joined=60, tested=40)
    assert (len(data.train), len(data.test)) == (60, 40)
    learned, tested = set(data.train.texts), set(data.test.texts)
    assert tested <= set(WORDS)
    assert not learned & tested
    assert 25 <= len(learned & set(WORDS)) <= 32  # the other half are no words
    used = [{f for v in part.x for f in v[:, 2].tolist()} for part in (data.train, data.test)]
    assert max(used[0]) <= 160
    assert min(used[1] - {0.0}) > 160
    again = read_transcribed_samples(
        str(tmp_path / "w.mat"),
        {"test_fraction": 0.2, "test_files": None, "joined": 60, "least": 3, "most": 7}
        | {"tested": 40},
    )
    assert again.fingerprint == data.test.fingerprint


def test_sources_and_their_mistakes(tmp_path):
    (tmp_path / "w.unp").write_text(".PEN_DOWN\n1 2\n3 4\n")
    (tmp_path / "w.csv").write_text("id,step,a,label\n" + "".join(f"{n},0,1,ab\n" for n in "xyzuv"))
    data = read_transcribed(str(tmp_path / "w.csv"))
    assert data.train.texts + data.test.texts == ["ab"] * 5
    assert len(data.test) == 1
    for source, options, message in (
        ("w.unp", {}, "there are no texts to learn"),
        ("w.csv", {"test_files": "*"}, "chooses among recordings"),
        ("w.csv", {"joined": 5}, "makes strings of recordings"),
        ("w.txt", {}, "there is no data set"),
    ):
        with pytest.raises(DataError, match=message):
            read_transcribed(str(tmp_path / source), **options)
    ink = read_transcribed_samples(str(tmp_path / "w.unp"), {})
    assert ink.texts is None
    assert ink.x.names == ("x step", "y step", "pen")


@pytest.fixture
def spoken(tmp_path):
    soundfile = pytest.importorskip("soundfile")
    rng = np.random.default_rng(0)
    for label in range(3):
        for number in range(5):
            wave = rng.normal(size=80 + number) / 10
            soundfile.write(tmp_path / f"{label}_x_{number}.wav", wave, 8000)
    return tmp_path


def test_recordings_are_kept_for_the_test_by_name_or_by_chance(spoken):
    data = read_transcribed(str(spoken), test_files="*_[0-1].wav")
    assert data.test.ids == [f"{label}_x_{number}.wav" for label in range(3) for number in (0, 1)]
    assert data.test.texts == ["0", "0", "1", "1", "2", "2"]
    assert len(data.train) == 9
    one, same = (read_transcribed(str(spoken), test_fraction=0.4) for _ in range(2))
    assert len(one.test) == 6
    assert not set(one.test.ids) & set(one.train.ids)
    assert one.fingerprint == same.fingerprint != data.fingerprint
    with pytest.raises(DataError, match="no recording's name fits"):
        read_transcribed(str(spoken), test_files="*.flac")
    with pytest.raises(DataError, match="nothing is left to learn from"):
        read_transcribed(str(spoken), test_files="*")


def test_strings_are_joined_on_either_side_of_the_division(spoken):
    data = read_transcribed(str(spoken), test_files="0_*", joined=12, tested=7, least=2, most=3)
    assert (len(data.train), len(data.test)) == (12, 7)
    assert set("".join(data.train.texts)) == {"1", "2"}
    assert set("".join(data.test.texts)) == {"0"}
    assert {len(text) for text in data.train.texts} == {2, 3}


def test_a_digit_that_is_moved_does_not_come_back_on_the_other_side():
    digits = load_digits()
    scans = digits.images[: len(digits.images) * 4 // 5] / np.float32(16)
    for line in digit_lines(40, least=1, most=1).x:
        inked = np.flatnonzero(line.any(axis=1))
        columns = line[inked[0] : inked[-1] + 1].T
        width = columns.shape[1]
        blank = np.pad(scans, ((0, 0), (1, 1), (0, 0)))
        moved = np.concatenate([blank[:, 1 - shift : 9 - shift] for shift in (-1, 0, 1)])
        places = [moved[:, :, start : start + width] for start in range(9 - width)]
        assert any((place == columns).all(axis=(1, 2)).any() for place in places)
