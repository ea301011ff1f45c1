"""Pictures: arrays, files, and what is refused."""

import numpy as np
import pytest
import torch
from PIL import Image

from cellwright.data.pictures import PictureArray, PictureFiles, as_pictures, picture_files
from cellwright.errors import DataError, ShapeError


def noise(*shape, seed=0):
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


def saved(path, pixels, **options):
    Image.fromarray(pixels).save(path, **options)
    return path


@pytest.mark.parametrize("channels", [1, 3])
def test_arrays_of_bytes_stay_as_they_are(channels):
    pixels = noise(5, 6, 7, channels)
    pictures = as_pictures(pixels)
    assert len(pictures) == 5
    assert pictures.shape == (6, 7, channels)
    assert np.array_equal(pictures.pixels(np.array([4, 0])), pixels[[4, 0]])
    assert np.array_equal(pictures.take(np.array([2, 2])).pixels(np.array([0])), pixels[[2]])


def test_other_numbers_become_bytes():
    grey = noise(3, 4, 4)
    for given in (grey, grey / 255, grey.astype(np.int64), torch.from_numpy(grey), list(grey)):
        assert np.array_equal(as_pictures(given).pixels(np.arange(3))[..., 0], grey)
    assert as_pictures(grey > 127).pixels(np.arange(3)).max() == 255


@pytest.mark.parametrize(
    ("given", "error", "message"),
    [
        (np.zeros((0, 4, 4)), DataError, "X is empty"),
        ([], DataError, "X is empty"),
        (np.zeros((4, 4)), ShapeError, r"expected \(sample, height, width\).*got \(4, 4\)"),
        (np.zeros((2, 4, 4, 2)), ShapeError, r"1 or 3 channels, got \(2, 4, 4, 2\)"),
        (np.zeros((2, 0, 4)), ShapeError, "got"),
        ([np.zeros((4, 4)), np.zeros((4, 5))], ShapeError, r"X\[1\] is \(4, 5\), but X\[0\]"),
        ("picture.png", DataError, "got str"),
        (np.array([["a"]], object).reshape(1, 1, 1), DataError, "must be numbers"),
    ],
)
def test_what_is_no_picture_is_refused(given, error, message):
    with pytest.raises(error, match=message):
        as_pictures(given)


@pytest.mark.parametrize("wrong", [np.nan, np.inf, -0.1, 1.5])
def test_a_number_out_of_range_is_named(wrong):
    pixels = np.zeros((2, 3, 4))
    pixels[1, 2, 0] = wrong
    with pytest.raises(DataError, match=r"X\[1\] is .* at row 2, column 0, channel 0"):
        as_pictures(pixels)
    with pytest.raises(DataError, match="whole numbers must lie between 0 and 255"):
        as_pictures(np.full((1, 2, 2), 256))


def test_another_size_than_expected_is_refused():
    with pytest.raises(ShapeError, match=r"= \(4, 4, 1\), got \(4, 5, 1\)"):
        as_pictures(noise(2, 4, 5), shape=(4, 4, 1))


def test_files_are_read_turned_and_cut_around_their_middle(tmp_path):
    wide = np.zeros((10, 30, 3), np.uint8)
    wide[:, 10:20] = (255, 0, 0)
    paths = [saved(tmp_path / "b.png", wide), saved(tmp_path / "a.png", wide[..., 0])]
    upright = Image.Exif()
    upright[0x0112] = 6  # turned a quarter
    turned = saved(tmp_path / "c.png", np.ascontiguousarray(wide.transpose(1, 0, 2)), exif=upright)
    pictures = as_pictures([*paths, str(turned)], size=10)
    found = pictures.pixels(np.arange(3))
    assert pictures.shape == (10, 10, 3)
    assert (found[0] == (255, 0, 0)).all()
    assert (found[1] == 255).all()  # grey in three equal colours
    assert (found[2] == (255, 0, 0)).all()
    assert as_pictures(pictures, shape=(5, 4, 3)).shape == (5, 4, 3)
    with pytest.raises(ShapeError):
        as_pictures(pictures, shape=(10, 10, 1))


def test_a_folder_is_read_by_name(tmp_path):
    for name in ("b.png", "a.JPG", "notes.txt", "._b.png"):
        if name in ("notes.txt", "._b.png"):
            (tmp_path / name).write_text("no picture")
        else:
            saved(tmp_path / name, noise(8, 8, 3), format="PNG")
    assert [path.name for path in picture_files(tmp_path, 4).paths] == ["a.JPG", "b.png"]
    assert len(picture_files(tmp_path / "b.png", 4)) == 1
    with pytest.raises(DataError, match="there is no picture or folder"):
        picture_files(tmp_path / "nowhere", 4)
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="holds no pictures"):
        picture_files(tmp_path / "empty", 4)


def test_a_damaged_file_is_named_before_anything_is_learned(tmp_path):
    whole = saved(tmp_path / "whole.png", noise(40, 40, 3)).read_bytes()
    cut = tmp_path / "cut.png"
    for length in range(0, len(whole) - 20, 500):
        cut.write_bytes(whole[:length])
        with pytest.raises(DataError, match=r"cut.png"):
            as_pictures([tmp_path / "whole.png", cut], size=8)
    with pytest.raises(DataError, match="there is no picture .*gone.png"):
        as_pictures([tmp_path / "gone.png"])
    with pytest.raises(DataError, match="cannot be read as a picture"):
        as_pictures([tmp_path])


def test_what_was_read_is_kept_as_far_as_it_fits(tmp_path, monkeypatch):
    monkeypatch.setattr("cellwright.data.pictures._KEPT_BYTES", 2 * 4 * 4 * 3)
    paths = [saved(tmp_path / f"{n}.png", noise(4, 4, 3, seed=n)) for n in range(3)]
    pictures = as_pictures(paths, size=4)
    for path in paths:
        path.unlink()
    assert np.array_equal(pictures.pixels(np.array([1]))[0], noise(4, 4, 3, seed=1))
    with pytest.raises(DataError, match="there is no picture"):
        pictures.pixels(np.array([2]))


def test_fingerprints_tell_pixels_and_sizes_apart(tmp_path):
    pixels = noise(2, 4, 6, 1)
    other = pixels.copy()
    other[1, 3, 5, 0] ^= 1
    digests = {PictureArray(a).fingerprint for a in (pixels, other, pixels.reshape(2, 6, 4, 1))}
    assert len(digests) == 3
    paths = tuple(saved(tmp_path / f"{n}.png", noise(4, 4, 3, seed=n)) for n in range(2))
    files = [PictureFiles(paths, 4, 4), PictureFiles(paths[::-1], 4, 4), PictureFiles(paths, 4, 5)]
    assert len({each.fingerprint for each in files}) == 3


@pytest.mark.parametrize("name", ["grey.png", "grey.tiff"])
def test_grey_values_of_sixteen_bits_are_scaled_and_not_cut(tmp_path, name):
    grey = np.array([[0, 257], [128 * 257 + 3, 65535]], np.uint16)
    found = as_pictures([saved(tmp_path / name, grey)], size=2).pixels(np.array([0]))
    assert found[0, ..., 0].tolist() == [[0, 1], [128, 255]]
    assert (found == found[..., :1]).all()


def test_what_is_transparent_is_white_whatever_lies_hidden_there(tmp_path):
    line = np.zeros((8, 8, 4), np.uint8)
    line[3] = (0, 0, 0, 255)
    line[4] = (255, 0, 0, 51)
    seen = np.full((8, 8, 3), 255)
    seen[3], seen[4] = 0, (255, 204, 204)
    hidden = line.copy()
    hidden[:2, :, :3] = (9, 99, 199)
    files = [saved(tmp_path / f"{number}.png", x) for number, x in enumerate((line, hidden))]
    for row in range(2):
        assert (as_pictures(files, size=8).pixels(np.array([row]))[0] == seen).all()
    indexed = Image.fromarray(line[..., 3] // 255, "P")
    indexed.putpalette([0, 0, 0] * 2)
    indexed.save(tmp_path / "line.gif", transparency=0)
    found = as_pictures([tmp_path / "line.gif"], size=8).pixels(np.array([0]))[0]
    assert (found == np.where(np.arange(8)[:, None, None] == 3, 0, 255)).all()


@pytest.mark.parametrize("kind", [np.int32, np.float32])
def test_grey_values_of_more_bits_are_refused(tmp_path, kind):
    path = saved(tmp_path / "grey.tiff", np.ones((2, 2), kind))
    with pytest.raises(DataError, match=r"grey.tiff: its grey values have 32 bits"):
        as_pictures([path], size=2)
