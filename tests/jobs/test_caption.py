"""The captioner: from pictures to captions, with files, folders and the command line."""

import json
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from spoiled_samples import spoiled

import cellwright as cw
from cellwright.data.pictures import as_pictures
from cellwright.data.scenes import HELD_OUT, digit_scenes
from cellwright.errors import (
    CellwrightError,
    DataError,
    ModelFileError,
    SettingError,
    ShapeError,
)
from cellwright.jobs import Reporter, RunFolder, configure, predictions, run, samples, scores
from cellwright.jobs.asked import Asked
from cellwright.jobs.caption import JOB
from cellwright.jobs.caption.examples import CaptionExamples, picture_batches
from cellwright.jobs.caption.measures import bleu, exact
from cellwright.jobs.training.tensor_file import read_tensors, write_tensors
from cellwright.text import Vocabulary

_DATA = os.environ.get("CELLWRIGHT_SHARED_DATA", Path(__file__).parents[2] / "../shared/data")
COCO = Path(_DATA) / "coco-mini-captions"

TINY = {"filters": [4], "image_features": 8, "layers": [12], "embedding": 8, "batch_size": 8}
PLACES = ["upper left", "upper right", "lower left", "lower right"]


def corners(count=40, channels=1):
    """A bright square in one of four corners, and where it is."""
    pictures, captions = np.zeros((count, 8, 8, channels), np.uint8), []
    for number in range(count):
        row, column = divmod(number % 4, 2)
        pictures[number, 4 * row : 4 * row + 4, 4 * column : 4 * column + 4] = 200 + number
        place = PLACES[number % 4]
        captions.append([f"it is {place}.", f"look at the {place}!"][: 1 + number % 2])
    return pictures, captions


@pytest.fixture(scope="module")
def model():
    return cw.Captioner(**TINY, epochs=25, learning_rate=0.02, dropout=0).fit(*corners())


def test_it_learns_what_is_where(model):
    pictures, captions = corners(8)
    said = model.predict(pictures)
    assert all(place in text for place, text in zip(PLACES, said, strict=False))
    assert model.score(pictures, captions) == 1
    assert model.bleu(pictures, captions) == pytest.approx(100)
    assert model.score(pictures, [["IT IS", text] for text in said]) == 1
    assert model.score(pictures, ["something else"] * 8) == 0


def test_it_says_it_word_by_word(model):
    pictures, _ = corners(4)
    for picture, text in zip(pictures, model.predict(pictures), strict=True):
        told = list(model.stream(picture))
        assert len(told) == len(model.vocabulary_.encode(text))
        assert "".join(told) == text
    with pytest.raises(ShapeError):
        model.stream(pictures)


def test_it_says_where_it_looked(model):
    (caption,) = model.describe(corners(1)[0])
    assert caption.text == model.predict(corners(1)[0])[0]
    assert caption.attention.shape == (len(caption.tokens), 4, 4)
    np.testing.assert_allclose(caption.attention.sum((1, 2)), 1, rtol=1e-5)
    assert caption.score <= 0


@pytest.mark.parametrize(
    "options",
    [
        {"attention": "none"},
        {"attention": "bahdanau", "feeding": "context", "cell": "gru"},
        {"feeding": "output", "scheduled_sampling": 0.3, "tied": False, "layers": [6, 5]},
        {"vocabulary": "characters", "beam": 1, "label_smoothing": 0.1, "longest": 5},
        {"vocabulary": "subwords", "vocabulary_size": 270, "precision": "64-true"},
        {"precision": "bf16-mixed", "filters": 4, "lowercase": False},
    ],
)
def test_every_option_is_learned_with_saved_and_loaded(options, tmp_path):
    pictures, captions = corners(16, channels=3)
    trained = cw.Captioner(**{**TINY, "epochs": 1, **options}).fit(pictures, captions)
    trained.save(tmp_path / "model.cw")
    loaded = cw.load(tmp_path / "model.cw")
    assert loaded.predict(pictures).tolist() == trained.predict(pictures).tolist()
    assert loaded.facts_ == trained.facts_
    if "longest" in options:
        assert max(len(c.tokens) for c in loaded.describe(pictures)) <= 5


def test_pictures_may_be_files_of_any_size(tmp_path, model):
    with pytest.raises(ShapeError, match=r"\(8, 8, 1\), got \(8, 8, 3\)"):
        model.predict(corners(1, channels=3)[0])
    paths = []
    for number, picture in enumerate(corners(4, channels=3)[0]):
        paths.append(tmp_path / f"{number}.png")
        Image.fromarray(picture.repeat(20, 0).repeat(15, 1)).save(paths[-1])
    trained = cw.Captioner(**TINY, epochs=1, validation_fraction=0).fit(paths, PLACES)
    assert trained.facts_.height == 96
    assert len(trained.predict([paths[0]])) == 1


@pytest.mark.parametrize(
    ("y", "error", "message"),
    [
        (["a"] * 3, ShapeError, "X has 4 pictures but y has captions for 3"),
        (["a", "b", "", "d"], DataError, r"y\[2\] is an empty caption"),
        (["a", "b", 3, "d"], DataError, r"y\[2\] is no text"),
        (["a", "b", np.array("c"), "d"], DataError, r"y\[2\] is no text"),
        (np.array("a"), DataError, "expected a list of captions, got ndarray"),
    ],
)
def test_captions_that_do_not_fit_are_refused(y, error, message):
    with pytest.raises(error, match=message):
        cw.Captioner(**TINY).fit(corners(4)[0], y)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"encoder": "resnet18"}, "torchvision"),
        ({"filters": []}, "one number at least"),
        ({"attention": "none", "feeding": "context"}, "needs attention"),
        ({"patience": 2, "validation_fraction": 0}, "patience watches validation data"),
        ({"attention": "soft"}, "attention='soft'"),
        ({"attention": "dot"}, "'dot'"),
    ],
)
def test_options_that_cannot_be_are_refused(options, message):
    try:
        import torchvision  # noqa: F401
    except ImportError:
        pass
    else:
        if "encoder" in options:
            pytest.skip("torchvision is installed")
    with pytest.raises(CellwrightError, match=message):
        cw.Captioner(**{**TINY, **options}).fit(*corners(8))


def test_a_word_seen_only_in_the_test_is_never_said(model):
    pictures, _ = corners(4)
    assert model.score(pictures, ["an unheard word"] * 4) == 0
    rare = cw.Captioner(**TINY, epochs=1, least=3, validation_fraction=0)
    rare.fit(*corners(8))
    with torch.no_grad():  # even if it is what the network would say
        rare.network_.decoder.bias[Vocabulary.unknown] = 50
    assert not any("\ufffd" in text for text in rare.predict(pictures))
    with pytest.raises(DataError, match="no words seen 100 times"):
        cw.Captioner(**TINY, least=100).fit(*corners(8))


def test_each_caption_is_learned_with_its_picture():
    pictures, captions = corners(10)
    vocabulary = Vocabulary.learn([text for several in captions for text in several], "words")
    examples = CaptionExamples.of(as_pictures(pictures), captions, vocabulary)
    assert len(examples) == 15
    order = np.random.default_rng(0).permutation(15)
    seen = []
    for batch in examples.batches(4, order):
        assert batch.answers == int(examples.lengths[batch.rows].sum())
        for position, row in enumerate(batch.rows):
            steps = int(examples.lengths[row])
            given, wanted = batch.given[position], batch.wanted[position]
            assert given[0] == vocabulary.begin
            assert wanted[steps - 1] == vocabulary.end
            assert torch.equal(given[1:steps], wanted[: steps - 1])
            assert batch.counted[position].tolist() == [s < steps for s in range(len(given))]
            picture = examples.picture_of[row]
            assert np.array_equal(batch.pixels[position].numpy(), pictures[picture])
            text = vocabulary.decode(wanted[:steps].tolist())
            assert PLACES[picture % 4] in text
            seen.append(row)
    assert sorted(seen) == list(range(15))
    sizes = [len(batch.pixels) for batch in picture_batches(as_pictures(pictures), 4)]
    assert sizes == [4, 4, 2]


def test_labels_are_smoothed_in_training_alone():
    losses = [
        cw.Captioner(**TINY, epochs=1, label_smoothing=smoothing, learning_rate=1e-12, dropout=0)
        .fit(*corners(20))
        .history_[0]
        for smoothing in (0.0, 0.9)
    ]
    first, second = (row["validation_loss"] for row in losses)
    assert first == pytest.approx(second, rel=1e-4)
    first, second = (row["train_loss"] for row in losses)
    assert first != pytest.approx(second, rel=1e-4)


def test_exact_matches_are_of_whole_captions():
    words = Vocabulary.learn(["a b c"], "words", lowercase=True)
    said = ["a b.", "a b", "a", "A  B"]
    references = [["x", "a b ."], ["a b c"], ["a", "b"], ["a b"]]
    assert exact(said, references, words).tolist() == [True, False, True, True]
    strict = Vocabulary.learn(["a b c"], "characters")
    assert exact(["A b", "a  b"], [["a b"], ["a b"]], strict).tolist() == [False, True]


def test_bleu_is_that_of_the_formula():
    said = ["the cat sat on the mat today"]
    references = [["the cat sat on a mat today", "a cat was here"]]
    plain, small = (Vocabulary.learn(["a b"], "words", lowercase=low) for low in (False, True))
    precisions = [6 / 7, 4 / 6, 2 / 5, 1 / 4]
    wanted = 100 * float(np.prod(precisions)) ** 0.25
    assert bleu(said, references, plain) == pytest.approx(wanted, rel=1e-3)
    # One picture has two references, another one.
    both = bleu(said * 2, [references[0], said], plain)
    assert wanted < both < 100
    assert bleu(["A CAT SAT ON"], [["a cat sat on"]], plain) == 0
    assert bleu(["A CAT SAT ON"], [["a cat sat on"]], small) == pytest.approx(100)


@pytest.mark.parametrize("kind", ["words", "tokens", "characters"])
@pytest.mark.parametrize(
    "text",
    [
        "a man's hat - isn't it 3.5 m wide?",
        "un cafe\u0301 a\u0300 co\u0302te\u0301 d'ici",  # accents apart, as a Mac may write them
    ],
)
def test_what_is_said_word_for_word_is_right_by_every_measure(kind, text):
    vocabulary = Vocabulary.learn([text], kind)
    said = [vocabulary.decode(vocabulary.encode(text))]
    assert exact(said, [[text]], vocabulary).all()
    assert bleu(said, [[text]], vocabulary) == pytest.approx(100)


@pytest.fixture
def coco(tmp_path):
    """A folder of two files in COCO's format, and their pictures."""
    pictures, captions = corners(24, channels=3)
    for part, rows in (("train", range(16)), ("val", range(16, 24))):
        (tmp_path / part).mkdir()
        document = {"images": [], "annotations": []}
        for row in rows:
            name = f"{row}.png"
            Image.fromarray(pictures[row]).save(tmp_path / part / name)
            document["images"].append({"id": row, "file_name": name})
            document["annotations"] += [{"image_id": row, "caption": c} for c in captions[row]]
        document["images"].append({"id": 99, "file_name": "absent.png"})
        (tmp_path / f"captions_{part}.json").write_text(json.dumps(document))
    return tmp_path


class Notes(Reporter):
    def __init__(self):
        self.notes = []

    def note(self, text):
        self.notes.append(text)


def test_files_in_cocos_format_from_data_to_result(coco, tmp_path):
    options = {**TINY, "epochs": 8, "image_size": 8, "learning_rate": 0.02}
    reporter, folder = Notes(), RunFolder(tmp_path / "run")
    config = configure(str(coco), job="caption", **options)
    result = run(config, folder, reporter=reporter)
    assert list(result["test"]) == ["exact_match", "bleu", "pictures"]
    assert result["test"]["pictures"] == 8
    assert any("test: 1 pictures are listed but not" in note for note in reporter.notes)
    for name in ("captions.png", "attention.png", "model.cw", "learning_curve.png"):
        assert (folder.path / name).stat().st_size > 0
    model = cw.load(folder.path)
    own = samples(model, folder.path, None, None)
    measures, report = scores(model, own)
    assert measures == result["test"]
    assert "exact match" in report
    table = predictions(model, own)
    assert table["id"].tolist() == [f"{row}.png" for row in range(16, 24)]
    assert table["prediction"].tolist() == model.predict(own.pictures).tolist()
    for source, count in (("captions_train.json", 16), ("val", 8), ("val/17.png", 1)):
        given = samples(model, folder.path, str(coco / source), None)
        assert len(predictions(model, given)) == count
    with pytest.raises(DataError, match="no captions to score against"):
        scores(model, given)
    with pytest.raises(CellwrightError, match="no probabilities"):
        predictions(model, own, probabilities=True)


def test_pictures_without_a_caption_are_described_and_not_scored(model, coco):
    path = coco / "captions_val.json"
    document = json.loads(path.read_text())
    last = document["images"][-2]["id"]
    for known, some in ((7, lambda a: a["image_id"] != last), (0, lambda _: False)):
        kept = list(filter(some, document["annotations"]))
        path.write_text(json.dumps(document | {"annotations": kept}))
        given = JOB.read_samples(Asked(str(path), None, {"image_size": 8}, {}))
        assert given.ids == [f"{row}.png" for row in range(16, 24)]
        grey = replace(given, pictures=as_pictures(corners(8)[0]))
        assert len(JOB.predictions(model, grey, probabilities=False)) == 8
        if known:
            assert JOB.scores(model, grey)[0]["pictures"] == known
            continue
        with pytest.raises(DataError, match="no captions to score against"):
            JOB.scores(model, grey)


def test_one_file_is_divided_by_picture(coco, tmp_path):
    config = configure(
        str(coco / "captions_train.json"), job="caption", **TINY, epochs=1, images=coco / "train"
    )
    data = config.read_data()
    assert (len(data.train.ids), len(data.test.ids)) == (12, 4)
    assert not set(data.train.ids) & set(data.test.ids)
    assert config.read_data().fingerprint == data.fingerprint
    pd.testing.assert_index_equal(pd.Index(data.test.ids), pd.Index(config.read_data().test.ids))


@pytest.mark.parametrize(
    ("source", "reading", "message"),
    [
        ("scnes", {}, "there are no captions 'scnes'. Did you mean 'scenes'?"),
        ("captions.csv", {}, "there are no captions"),
        ("gone.json", {}, "there is no file .*gone.json"),
        (".", {}, "holds no training captions"),
    ],
)
def test_data_that_are_not_there_are_named(source, reading, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    config = configure(source, job="caption", **reading)
    with pytest.raises(DataError, match=message):
        config.read_data()
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("source", "reading"),
    [
        ("scenes", {"images": "/there"}),
        ("scenes", {"image_size": 32}),
        ("scenes", {"test_fraction": 0.5}),
        ("captions_train.json", {"scenes": 50}),
        (".", {"scenes": 50}),
        (".", {"test_fraction": 0.5}),
    ],
)
def test_options_that_mean_nothing_to_the_data_are_refused(source, reading, coco, monkeypatch):
    monkeypatch.chdir(coco)
    with pytest.raises(DataError, match=f"{next(iter(reading))}=.* means nothing to these data"):
        configure(source, job="caption", **reading).read_data()


def test_of_cocos_own_folder_the_captions_are_taken(coco):
    for name in ("instances_train", "person_keypoints_val", "image_info_test"):
        (coco / f"{name}.json").write_text("{}")
    data = configure(str(coco), job="caption", image_size=8).read_data()
    assert (len(data.train.ids), len(data.test.ids)) == (16, 8)
    (coco / "captions_train2.json").write_text("{}")
    with pytest.raises(DataError, match=r"several .*captions_train.json, captions_train2.json;"):
        configure(str(coco), job="caption").read_data()


def test_a_folder_of_pictures_is_named_once(coco):
    config = configure(str(coco), str(coco), job="caption", images=str(coco / "train"))
    with pytest.raises(DataError, match="give one"):
        config.read_data()
    with pytest.raises(SettingError, match="image_size=4"):
        configure(job="caption", image_size=4)


class Interrupt(Reporter):
    def __init__(self, at):
        self.left = at

    def advanced(self, progress):
        self.left -= 1
        if not self.left:
            raise KeyboardInterrupt


@pytest.mark.parametrize("at", [2, 5])
def test_a_training_that_was_cut_off_ends_with_the_same_weights(tmp_path, at):
    def new():
        return cw.Captioner(**TINY, epochs=3, dropout=0.3, scheduled_sampling=0.5)

    whole, kept = new().fit(*corners(16)), tmp_path / "checkpoint"
    with pytest.raises(KeyboardInterrupt):
        new().fit(*corners(16), checkpoint=kept, reporter=Interrupt(at))
    resumed = new().fit(*corners(16), checkpoint=kept, resume=True)
    one, other = whole.network_.state_dict(), resumed.network_.state_dict()
    assert one.keys() == other.keys()
    assert all(torch.equal(one[name], other[name]) for name in one)


def test_other_captions_are_not_gone_on_with(tmp_path):
    pictures, captions = corners(16)
    kept = tmp_path / "checkpoint"
    cw.Captioner(**TINY, epochs=1).fit(pictures, captions, checkpoint=kept)
    captions[3] = ["it is elsewhere"]
    with pytest.raises(CellwrightError, match="other data or options"):
        cw.Captioner(**TINY, epochs=1).fit(pictures, captions, checkpoint=kept, resume=True)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"vocabulary": "{}"}, "vocabulary"),
        ({"vocabulary": Vocabulary.learn(["a b"]).text}, "is not that of its weights"),
        ({"height": 0}, "height"),
        ({"height": 16}, "rows"),
        ({"channels": 3}, "encoder"),
        ({"longest": -1}, "longest"),
    ],
)
def test_a_file_with_other_facts_is_refused(model, tmp_path, change, message):
    path = tmp_path / "model.cw"
    model.save(path)
    tensors, document = read_tensors(path)
    document["facts"] |= change
    write_tensors(path, tensors, document)
    with pytest.raises(ModelFileError, match=message):
        cw.load(path)


def test_a_file_with_more_stages_than_tensors_is_refused(model, tmp_path):
    path = tmp_path / "model.cw"
    model.save(path)
    tensors, document = read_tensors(path)
    document["options"]["filters"] = [1] * 10_000
    write_tensors(path, tensors, document)
    with pytest.raises(ModelFileError, match="10000 filters cannot be made"):
        cw.load(path)


def test_the_default_data_are_scenes():
    data = configure(job="caption", scenes=50).read_data()
    assert data.name == "scenes"
    assert len(data.train.ids) == 50
    assert len(HELD_OUT) == 20
    with pytest.raises(SettingError, match="scenes=3"):
        configure(job="caption", scenes=3)


@pytest.mark.slow
def test_held_out_pairs_are_described():
    data = digit_scenes()
    model = cw.Captioner().fit(data.train.pictures, data.train.captions)
    assert model.score(data.test.pictures, data.test.captions) > 0.7


@pytest.mark.slow
@pytest.mark.skipif(not COCO.is_dir(), reason="the captions do not lie beside the project")
def test_the_real_captions_from_data_to_result(tmp_path):
    config = configure(str(COCO), job="caption", epochs=2)
    result = run(config, RunFolder(tmp_path / "run"))
    assert result["test"]["pictures"] == 25


_ODD_PICTURES = (
    *(np.zeros((4, 5)), np.zeros((4, 4, 3)), np.zeros((4, 4, 2)), np.zeros((0, 4)), np.array(3.0)),
    *(np.full((4, 4), kind) for kind in (np.nan, 300, 0.5, True, None, "a", 1j)),
    *(np.zeros((4, 4), kind) for kind in ("M8[s]", np.float16, np.int8)),
    "gone.png",
)


@settings(max_examples=60, derandomize=True)
@given(st.data())
def test_whatever_is_given_trains_or_is_refused_by_name(data):
    count, channels = data.draw(st.sampled_from([0, 1, 4, 5])), data.draw(st.sampled_from([0, 3]))
    grey = np.random.default_rng(0).integers(
        0, 256, (count, 4, 4, channels)[: 4 if channels else 3]
    )
    form = data.draw(st.sampled_from([np.uint8, np.int64, np.float32]))
    x = list((grey / 255 if form is np.float32 else grey).astype(form))
    if data.draw(st.booleans()):
        x = [picture.tolist() for picture in x]
    y = data.draw(spoiled([["it is a", ["it is a", "c b, it"]][n % 2] for n in range(count)]))
    x, other = data.draw(_spoiled_pictures(x)), data.draw(_spoiled_pictures(x))
    options = data.draw(
        st.sampled_from(
            [
                {"validation_fraction": 0},
                {"validation_fraction": 0.4, "vocabulary": "characters"},
                {"validation_fraction": 0, "attention": "none", "beam": 2},
            ]
        )
    )
    sizes = {"filters": [2], "image_features": 2, "layers": [2], "embedding": 2, "longest": 3}
    model = cw.Captioner(**sizes, epochs=1, least=1, backend="reference", **options)
    try:
        model.fit(x, y)
    except CellwrightError as error:
        assert str(error)  # noqa: PT017 any of ours will do
        return
    assert np.isfinite([caption.score for caption in model.describe(x)]).all()
    asked = (
        lambda: [caption.score for caption in model.describe(other)],
        lambda: [model.score(x, data.draw(spoiled(y))), model.score(other, y)],
        lambda: model.bleu(other, data.draw(spoiled(y))),
        lambda: [len(list(model.stream(picture))) for picture in other[:1]],
    )
    for ask in asked:
        try:
            assert np.isfinite(ask()).all()
        except CellwrightError as error:
            assert str(error)  # noqa: PT017


@st.composite
def _spoiled_pictures(draw, pictures):
    """The same, or with one that is odd, or a number in one that is."""
    if pictures and draw(st.booleans()):
        odd = draw(st.sampled_from(_ODD_PICTURES))
        at = draw(st.integers(0, len(pictures) - 1))
        return [odd if number == at else picture for number, picture in enumerate(pictures)]
    return draw(spoiled(pictures))


def test_pictures_of_kinds_that_do_not_go_together_are_refused(model):
    with pytest.raises(DataError, match="X: pixels must be numbers"):
        model.predict([np.zeros((8, 8)), np.zeros((8, 8), "M8[s]")])
