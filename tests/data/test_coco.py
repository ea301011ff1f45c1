"""Captions in COCO's format, whole and malformed."""

import json
import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from cellwright.data.captioned import as_captions
from cellwright.data.coco import read_coco
from cellwright.errors import DataError, ShapeError

_DATA = os.environ.get("CELLWRIGHT_SHARED_DATA", Path(__file__).parents[2] / "../shared/data")
SHARED = Path(_DATA) / "coco-mini-captions"


def document(images=3, captions=2):
    return {
        "info": {"year": 2017},
        "images": [
            {"id": 10 + n, "file_name": f"{n}.png", "height": 4, "width": 4} for n in range(images)
        ],
        "annotations": [
            {"image_id": 10 + n, "id": 100 * n + k, "caption": f"Picture {n}, said {k} times."}
            for k in range(captions)
            for n in range(images)
        ],
    }


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Three pictures, of which the third is listed in no document with two."""
    folder = tmp_path_factory.mktemp("coco")
    (folder / "images").mkdir()
    for number in range(3):
        Image.fromarray(np.full((4, 4), 50 * number, np.uint8)).save(
            folder / "images" / f"{number}.png"
        )
    return folder


def read(home, content, **options):
    path = home / "captions.json"
    path.write_text(content if isinstance(content, str) else json.dumps(content), "utf-8")
    return read_coco(path, size=4, **options)


def test_captions_go_with_their_pictures(folder):
    found = read(folder, document()).captioned
    assert found.ids == ["0.png", "1.png", "2.png"]
    assert found.captions[2] == ["Picture 2, said 0 times.", "Picture 2, said 1 times."]
    assert found.pictures.pixels(np.arange(3))[:, 0, 0, 0].tolist() == [0, 50, 100]
    part = found.take(np.array([2, 0]))
    assert part.ids == ["2.png", "0.png"]
    assert part.captions[1][0] == "Picture 0, said 0 times."
    assert part.pictures.pixels(np.arange(2))[:, 0, 0, 0].tolist() == [100, 0]


def test_absent_pictures_are_left_out_and_counted(folder):
    content = document(5)
    content["annotations"] = [a for a in content["annotations"] if a["image_id"] != 11]
    found = read(folder, content)
    assert found.captioned.ids == ["0.png", "2.png"]
    assert (found.absent, found.without_caption) == (2, 1)
    assert found.notes == (
        "2 pictures are listed but not in the folder; left out",
        "1 pictures have no caption; left out",
    )
    assert read(folder, document()).notes == ()


def test_without_any_picture_it_is_an_error(folder, tmp_path):
    with pytest.raises(DataError, match=r"none of the 3 pictures .*, such as 0.png is in"):
        read(folder, document(), folder=tmp_path)
    with pytest.raises(DataError, match="there is no folder of pictures"):
        read(folder, document(), folder=tmp_path / "nowhere")
    with pytest.raises(DataError, match="none of the 0 pictures that it lists is in"):
        read(folder, document(0))
    with pytest.raises(DataError, match="none of the 3 pictures in .* has a caption"):
        read(folder, document(captions=0))


def test_the_folder_is_found_by_the_name_of_the_file(tmp_path):
    (tmp_path / "val2017").mkdir()
    for place, value in (("val2017", 7), (".", 9)):
        Image.fromarray(np.full((4, 4), value, np.uint8)).save(tmp_path / place / "0.png")
    for name, value in (("captions_val2017.json", 7), ("captions.json", 9)):
        (tmp_path / name).write_text(json.dumps(document(1)))
        found = read_coco(tmp_path / name, size=4).captioned
        assert found.pictures.pixels(np.array([0])).max() == value


def changed(*path, value=None, **more):
    """A document in which something stands elsewhere, or with None is missing."""
    content = document()
    place = content
    for step in path[:-1]:
        place = place[step]
    if value is None and not more:
        del place[path[-1]]
    else:
        place[path[-1]] = value
    return content


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (changed("images"), r"json: images: is missing"),
        (changed("annotations"), r"json: annotations: is missing"),
        (changed("images", 1, "file_name"), r"images\[1\].file_name: is missing"),
        (changed("images", 2, "id"), r"images\[2\].id: is missing"),
        (changed("images", 2, "id", value="12"), r"images\[2\].id: must be a whole number"),
        (changed("images", 2, "id", value=True), r"images\[2\].id: must be a whole number"),
        (changed("images", 2, "id", value=10), r"images\[2\].id: 10 stands there twice"),
        (
            changed("images", 2, "file_name", value="./0.png"),
            r"\[2\].file_name: './0.png' .* twice",
        ),
        (changed("images", 0, "file_name", value=""), r"images\[0\].file_name: must not be empty"),
        (changed("images", 0, value=[]), r"images\[0\]: must be names with their values"),
        (changed("annotations", 4, "caption"), r"annotations\[4\].caption: is missing"),
        (changed("annotations", 4, "caption", value=7), r"annotations\[4\].caption: must be text"),
        (changed("annotations", 4, "caption", value=" \n"), r"\[4\].caption is an empty caption"),
        (changed("annotations", 4, "caption", value="a \ud800"), r"half a character at position 2"),
        (changed("annotations", 3, "image_id", value=9), r"\[3\].image_id: there is no image 9"),
        ([document()], r"expected an object with images and annotations, got list"),
    ],
)
def test_a_missing_or_wrong_entry_is_named_by_its_path(folder, content, message):
    with pytest.raises(DataError, match=message):
        read(folder, content)


@pytest.mark.parametrize(
    "name", ["../0.png", "/etc/passwd", "a/../../0.png", r"..\0.png", "C:\\0.png", "0\0.png"]
)
def test_no_name_leads_out_of_the_folder(folder, name):
    with pytest.raises(DataError, match=r"images\[1\].file_name: .* leads out of the folder"):
        read(folder, changed("images", 1, "file_name", value=name))


def test_a_name_that_no_file_could_have_is_absent(folder):
    found = read(folder, changed("images", 1, "file_name", value="x" * 5000))
    assert found.absent == 1


def test_malformed_json_is_named_by_line_and_column(folder):
    content = json.dumps(document(), indent=1)
    at = content.index('"file_name": "1.png"')
    line = content.count("\n", 0, at) + 1
    with pytest.raises(DataError, match=rf"captions.json, line {line}, column \d+: not JSON"):
        read(folder, content[:at] + content[at + 1 :])
    with pytest.raises(DataError, match="there is no file .*gone.json"):
        read_coco(folder / "gone.json")
    with pytest.raises(DataError, match="cannot be read"):
        read_coco(folder)
    for odd in ("[" * 100_000, '{"images": ' + "1" * 5000 + "}"):
        with pytest.raises(DataError, match="not JSON that can be read"):
            read(folder, odd)


def test_another_encoding_is_named_by_line_and_column(folder):
    raw = json.dumps(document(), indent=1, ensure_ascii=False).replace("said", "sagte ü")
    line = next(n for n, text in enumerate(raw.split("\n"), 1) if "ü" in text)
    column = raw.split("\n")[line - 1].index("ü") + 1
    (folder / "captions.json").write_bytes(raw.encode("latin-1"))
    with pytest.raises(DataError, match=f"line {line}, column {column}: not UTF-8: byte 0xfc"):
        read_coco(folder / "captions.json", size=4)
    (folder / "captions.json").write_bytes(b"\xef\xbb\xbf" + raw.encode())  # as some editors do
    assert "sagte ü" in read_coco(folder / "captions.json", size=4).captioned.captions[0][0]


def check_read_or_refused(path):
    """Anything but an error of ours that names the file would go through."""
    try:
        found = read_coco(path, size=4).captioned
    except DataError as error:
        if "captions.json" not in str(error):
            raise AssertionError("an error that names no file") from error
        return
    assert len(found.pictures) == len(found.captions) == len(found.ids) > 0


FEW = settings(max_examples=60, suppress_health_check=list(HealthCheck))
TEXT = json.dumps(document(), indent=1)


@FEW
@given(st.integers(0, len(TEXT) - 1))
def test_a_file_that_is_cut_anywhere_is_an_error_with_its_place(folder, length):
    with pytest.raises(DataError, match=r"captions.json, line \d+, column \d+: not JSON"):
        read(folder, TEXT[:length])


@FEW
@given(st.lists(st.tuples(st.integers(0, len(TEXT) - 1), st.integers(0, 255)), max_size=4))
def test_a_damaged_file_is_read_or_refused_by_name(folder, damage):
    raw = bytearray(TEXT.encode())
    for at, byte in damage:
        raw[at] = byte
    path = folder / "captions.json"
    path.write_bytes(raw)
    check_read_or_refused(path)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)


@FEW
@given(
    st.sampled_from(
        [
            ("images",),
            ("annotations",),
            ("images", 1),
            ("images", 1, "id"),
            ("images", 1, "file_name"),
            ("annotations", 2),
            ("annotations", 2, "image_id"),
            ("annotations", 2, "caption"),
        ]
    ),
    JSON,
)
def test_anything_in_place_of_an_entry_is_read_or_refused_by_name(folder, path, value):
    content = changed(*path, value=value, given=True)
    (folder / "captions.json").write_text(json.dumps(content), "utf-8")
    check_read_or_refused(folder / "captions.json")


@pytest.mark.parametrize(
    ("given", "error", "message"),
    [
        ("one text", DataError, "expected a list of captions, got str"),
        (["a", "b"], ShapeError, "X has 3 pictures but y has captions for 2"),
        (["a", " ", "c"], DataError, r"y\[1\] is an empty caption"),
        (["a", [], "c"], DataError, r"y\[1\] has no caption"),
        (["a", ["b", 3], "c"], DataError, r"y\[1\]\[1\] is no text: 3"),
        (["a", 3, "c"], DataError, r"y\[1\] is no text: 3"),
        (["a", b"b", "c"], DataError, r"y\[1\] is no text"),
        (["a", "b", "\udc00"], DataError, r"y\[2\] has half a character"),
    ],
)
def test_captions_that_say_nothing_are_refused(given, error, message):
    with pytest.raises(error, match=message):
        as_captions(given, 3)


def test_captions_are_one_or_several():
    assert as_captions(["a", ("b", "c"), np.array(["d"])], 3) == [["a"], ["b", "c"], ["d"]]
    assert as_captions(np.array(["a", "b"]), 2) == [["a"], ["b"]]


@pytest.mark.skipif(not SHARED.is_dir(), reason="the captions do not lie beside the project")
def test_the_real_captions():
    found = read_coco(SHARED / "captions_val2017.json", size=16)
    assert len(found.captioned.pictures) == 25
    assert found.absent == 54
    assert sum(map(len, found.captioned.captions)) == 125
