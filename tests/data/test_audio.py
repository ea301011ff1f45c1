"""Folders and archives of WAV files, and what is computed from sound."""

import contextlib
import io
import re
import tarfile

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

soundfile = pytest.importorskip("soundfile")
pytest.importorskip("kaldi_native_fbank")

from cellwright.data.audio import Recordings, read_recordings  # noqa: E402
from cellwright.data.audio_features import AudioFeatures  # noqa: E402
from cellwright.errors import DataError, SettingError  # noqa: E402


def wave(seed=0, samples=800):
    return (np.random.default_rng(seed).normal(size=samples) / 10).astype(np.float32)


def wav(samples, rate=8000, subtype="FLOAT"):
    buffer = io.BytesIO()
    soundfile.write(buffer, samples, rate, format="WAV", subtype=subtype)
    return buffer.getvalue()


@pytest.fixture
def folder(tmp_path):
    def folder(**files):
        for name, content in files.items():
            path = tmp_path / name.replace("__", "/").replace("_dot_", ".")
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return tmp_path

    return folder


def test_waves_come_back_as_they_were_written(folder):
    found = read_recordings(folder(**{"7_b.wav": wav(wave(1)), "3_a.wav": wav(wave(2))}))
    assert found.names == ("3_a.wav", "7_b.wav")
    assert found.texts == ("3", "7")
    assert found.rate == 8000
    assert np.array_equal(found.waves[0], wave(2))
    assert np.array_equal(found.waves[1], wave(1))


def test_labels_are_folders_where_there_are_several(folder):
    found = read_recordings(folder(**{"up__a_1.wav": wav(wave()), "down__a_2.wav": wav(wave())}))
    assert found.texts == ("down", "up")


def test_nothing_tells_what_is_heard(folder):
    assert read_recordings(folder(**{"a.wav": wav(wave()), "b_1.wav": wav(wave())})).texts is None


def test_transcripts_go_before_names(folder):
    table = 'file,text\n1_a.wav,"one, and more"\n2_b.wav,two\n'
    files = {"1_a.wav": wav(wave()), "2_b.wav": wav(wave()), "transcripts.csv": table}
    assert read_recordings(folder(**files)).texts == ("one, and more", "two")


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ("name,text\na.wav,x\n", "line 1: there is no column 'file' among name, text"),
        ("", "line 1: there is no column 'file' among nothing"),
        ("file,text\na.wav,x\nb.wav,y\n", "line 3, column 'file': there is no WAV file 'b.wav'"),
        ("file,text\na.wav,x\na.wav,y\n", "line 3, column 'file': 'a.wav' has a text already"),
        ("file,text\na.wav, \n", "line 2, column 'text': is empty"),
        ("file,text\na.wav\n", "line 2, column 'text': is empty"),
        ("file,text\n", "says nothing about 1 of 1 WAV files, such as 'a.wav'"),
        ('file,text\na.wav,"x\n', "not a readable CSV"),
        (b"file,text\na.wav,\xff\n", "line 2, byte 7: not UTF-8"),
    ],
)
def test_a_table_that_does_not_fit_is_refused(folder, table, message):
    with pytest.raises(DataError, match=re.escape(message)):
        read_recordings(folder(**{"a.wav": wav(wave()), "transcripts.csv": table}))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "b.wav is no WAV file"),
        (b"ID3" + bytes(100), "b.wav is no WAV file"),
        (wav(wave())[:-100], "b.wav is truncated: it should hold 3200 bytes of sound, and has"),
        (wav(wave())[:30], "b.wav is truncated: it ends before its sound begins"),
        (wav(wave()[:0]), "b.wav has no samples"),
        (wav(np.zeros(800)), "b.wav is silent: each of its 800 samples is 0"),
        (wav(np.r_[wave(), np.nan]), "b.wav: sample 800 of channel 0 is not a finite number"),
        (wav(wave(), 16000), "b.wav was sampled at 16000 Hz, but 'a.wav' has 8000 Hz"),
    ],
)
def test_files_that_cannot_be_used_are_named(folder, content, message):
    with pytest.raises(DataError, match=re.escape(message)):
        read_recordings(folder(**{"a.wav": wav(wave()), "b.wav": content}))


def test_an_expected_rate_is_kept_to(folder):
    with pytest.raises(DataError, match=r"a.wav was sampled at 8000 Hz, but 16000 Hz are exp"):
        read_recordings(folder(**{"a.wav": wav(wave())}), rate=16000)


def test_places_without_recordings(folder, tmp_path):
    with pytest.raises(DataError, match="holds no WAV files"):
        read_recordings(folder(**{"a.txt": "x"}))
    with pytest.raises(DataError, match="is neither a folder"):
        read_recordings(tmp_path / "a.txt")
    with pytest.raises(DataError, match="there is no file"):
        read_recordings(tmp_path / "a.tar.gz")
    (tmp_path / "cut.tar.gz").write_bytes(b"\x1f\x8b\x08\0\0")
    with pytest.raises(DataError, match="not a readable tar archive"):
        read_recordings(tmp_path / "cut.tar.gz")


def test_an_archive_reads_as_its_folder_does(folder, tmp_path):
    source = folder(**{"all__1_a.wav": wav(wave(1)), "all__0_a.wav": wav(wave(2))})
    with tarfile.open(tmp_path / "all.tar.gz", "w:gz") as archive:
        archive.add(source / "all", "all")
    read = read_recordings(tmp_path / "all.tar.gz")
    assert read.names == ("all/0_a.wav", "all/1_a.wav")
    assert read.texts == ("0", "1")
    assert np.array_equal(read.waves[1], wave(1))
    cut = (tmp_path / "all.tar.gz").read_bytes()[:-2000]
    (tmp_path / "cut.tar.gz").write_bytes(cut)
    with pytest.raises(DataError, match="not a readable tar archive"):
        read_recordings(tmp_path / "cut.tar.gz")


@pytest.mark.parametrize("top", [".", "fsdd", "./deep/fsdd"])
def test_names_of_an_archive_are_those_of_its_folder(folder, tmp_path, top):
    table = "file,text\n./1_a.wav,one\nmore/0_a.wav,none\n"
    files = {"in__1_a.wav": wav(wave(1)), "in__more__0_a.wav": wav(wave(2))}
    (tmp_path / "in" / "more").mkdir(parents=True)
    source = folder(**files, **{"in__transcripts.csv": table}) / "in"
    with tarfile.open(tmp_path / "all.tgz", "w:gz") as archive:
        archive.add(source, top)
    start = "" if top == "." else f"{top.removeprefix('./')}/"
    read = read_recordings(tmp_path / "all.tgz")
    assert read.names == (f"{start}1_a.wav", f"{start}more/0_a.wav")
    assert read.texts == ("one", "none")
    assert read.matching(f"./{start}1_*").tolist() == [True, False]
    assert read.matching("*0_a.wav").tolist() == [False, True]


def test_each_folder_may_have_a_table_of_its_own(folder):
    table = "file,text\n1.wav,{}\n"
    files = {"a__1.wav": wav(wave(1)), "b__1.wav": wav(wave(2))}
    tables = {f"{name}__transcripts.csv": table.format(name) for name in "ab"}
    assert read_recordings(folder(**files, **tables)).texts == ("a", "b")


def test_channels_are_averaged_and_sixteen_bits_read(folder):
    both = np.stack([wave(1), wave(2)], axis=1)
    found = read_recordings(folder(**{"a.wav": wav(both, subtype="PCM_16")}))
    assert np.allclose(found.waves[0], both.mean(1), atol=1e-4)


@settings(max_examples=40)
@given(cut=st.integers(0, 1643), flip=st.integers(0, 1643), value=st.integers(0, 255))
def test_a_damaged_file_is_read_or_refused_by_name(tmp_path_factory, cut, flip, value):
    content = bytearray(wav(wave(), subtype="PCM_16"))
    content[min(flip, len(content) - 1)] = value
    path = tmp_path_factory.mktemp("wav")
    (path / "a.wav").write_bytes(bytes(content[:cut]) if cut % 2 else bytes(content))
    with contextlib.suppress(DataError):
        assert np.isfinite(read_recordings(path).waves[0]).all()


def test_names_are_matched_by_patterns():
    waves = Recordings([wave()] * 3, 8000, ("1_x_0.wav", "1_x_10.wav", "1_x_4.wav"), None)
    assert waves.matching("*_[0-4].wav").tolist() == [True, False, True]
    assert waves.take(np.array([1])).names == ("1_x_10.wav",)
    with pytest.raises(DataError, match="no recording's name fits"):
        waves.matching("*.flac")


def tone(hertz, rate=8000, seconds=0.5):
    return np.sin(2 * np.pi * hertz * np.arange(int(rate * seconds)) / rate).astype(np.float32)


def test_a_tone_is_heard_by_the_filter_at_its_height():
    def loudest(hertz):
        return AudioFeatures(normalized="none")(tone(hertz), 8000).mean(0).argmax()

    found = [loudest(hertz) for hertz in (200, 500, 1000, 2000, 3500)]
    assert found == sorted(set(found))  # higher tones, higher filters
    # The formula of the mel scale between 20 and 4000 Hz, 40 filters.
    mel = [1127 * np.log(1 + hertz / 700) for hertz in (20, 4000, 1000)]
    assert abs(found[2] - (mel[2] - mel[0]) / (mel[1] - mel[0]) * 41 + 1) < 1


def test_the_spread_is_one_and_what_never_changes_stays_zero():
    found = AudioFeatures(deltas=2)(wave(samples=4000), 8000)
    assert found.shape == (48, 120)
    assert np.allclose(found.mean(0), 0, atol=1e-4)
    assert np.allclose(found.std(0), 1, atol=1e-3)
    steady = AudioFeatures()(np.tile(tone(1000, seconds=0.01), 50), 8000)
    assert np.isfinite(steady).all()
    assert abs(steady).max() < 10


def test_slopes_are_those_of_the_line_through_five_steps():
    plain = AudioFeatures(normalized="none")(wave(samples=4000), 8000)
    both = AudioFeatures(normalized="none", deltas=1)(wave(samples=4000), 8000)
    line = np.polyfit(range(-2, 3), plain[10:15, 7], 1)[0]
    assert np.allclose(both[:, :40], plain)
    assert both[12, 47] == pytest.approx(line, abs=1e-4)


def test_coefficients_and_repeatable():
    mfcc = AudioFeatures(kind="mfcc")
    assert mfcc.width == 13
    assert np.array_equal(mfcc(wave(), 8000), mfcc(wave(), 8000))


@pytest.mark.parametrize(
    "options",
    [
        {"kind": "mel"},
        {"filters": 2},
        {"window": 0},
        {"step": 30},
        {"deltas": 3},
        {"coefficients": 50, "kind": "mfcc"},
        {"normalized": "yes"},
    ],
)
def test_settings_out_of_bounds_are_named(options):
    with pytest.raises(SettingError, match=next(iter(options))):
        AudioFeatures(**options)


def test_what_the_window_cannot_tell_apart_is_said():
    with pytest.raises(SettingError, match="filters=256: are too many for windows of 25 ms"):
        AudioFeatures(filters=256)(wave(), 8000)
    with pytest.raises(DataError, match="short: 100 samples at 8000 Hz are less than a window"):
        AudioFeatures()(wave(samples=100), 8000, "short")
