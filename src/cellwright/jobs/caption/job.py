"""Captions from data to result, for a run folder and the command line."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from sklearn.model_selection import train_test_split

from cellwright.data.captioned import Captioned, CaptionedDataset
from cellwright.data.checks import refuse_given
from cellwright.data.coco import read_coco
from cellwright.data.pictures import picture_files
from cellwright.data.scenes import SCENES
from cellwright.errors import DataError, did_you_mean
from cellwright.jobs.asked import Asked
from cellwright.jobs.caption.estimator import Caption, Captioner
from cellwright.jobs.caption.measures import bleu, exact
from cellwright.jobs.estimator import Hooks
from cellwright.jobs.job import Job
from cellwright.jobs.options.caption import CaptionerReading
from cellwright.look.caption_pictures import draw_caption_attention, draw_captions
from cellwright.look.pictures import save_picture

__all__ = ["JOB"]

# The division does not depend on the seed of the training, so that runs with several seeds
# are scored on the same pictures.
_SPLIT_SEED = 0
_SHOWN = 12


class _CaptionJob(Job[Captioner, CaptionedDataset]):
    """Pictures with captions: scenes of digits, or files in COCO's format."""

    estimator = Captioner
    files = ("captions.png", "attention.png")

    def read(self, asked: Asked) -> CaptionedDataset:
        source, folder, reading = asked.source, asked.folder, asked.reading
        _refuse_ignored(source, reading)
        if source in SCENES:
            return _scenes(asked)
        images = folder if reading["images"] is None else Path(reading["images"])
        if folder is not None and images != folder:
            raise DataError("--images and --data-dir both name the folder of pictures; give one")
        path = Path(source)
        if path.is_dir():
            return _divided_already(path, images, reading)
        _check_file(path, source)
        return _divided(path, images, reading)

    def facts(self, data: CaptionedDataset) -> dict[str, Any]:
        height, width, channels = data.train.pictures.shape
        return {
            "train": len(data.train.pictures),
            "test": len(data.test.pictures),
            "captions": sum(map(len, data.train.captions or [])),
            "picture": f"{height} by {width} {'grey' if channels == 1 else 'colour'}",
        }

    def remarks(self, data: CaptionedDataset) -> list[str]:
        return list(data.notes)

    def fit(self, model: Captioner, data: CaptionedDataset, hooks: Hooks) -> None:
        model.fit(data.train.pictures, data.train.captions, **hooks)

    def finish(self, model: Captioner, data: CaptionedDataset, folder: Path) -> dict[str, Any]:
        said, references = model.describe(data.test.pictures), data.test.captions or []
        shown = data.test.pictures.pixels(np.arange(min(_SHOWN, len(said))))
        texts = [caption.text for caption in said]
        right = exact(texts, references, model.vocabulary_)
        picture = draw_captions(shown, texts[: len(shown)], references, right)
        save_picture(picture, folder / "captions.png")
        _draw_attention(said, shown, folder / "attention.png")
        return _measures(model, texts, data.test)

    def read_samples(self, asked: Asked) -> Captioned:
        if asked.source in SCENES:
            return _scenes(asked).test
        path, size = Path(asked.source), asked.reading["image_size"]
        if path.suffix.lower() == ".json":
            _check_file(path, asked.source)
            # Pictures of other captions do not lie where those of the training do.
            return read_coco(path, asked.folder, size=size, every=True).captioned
        pictures = picture_files(path, size)
        return Captioned(pictures, None, [file.name for file in pictures.paths])

    def test_part(self, data: CaptionedDataset) -> Captioned:
        return data.test

    def predictions(
        self, model: Captioner, samples: Captioned, *, probabilities: bool
    ) -> pd.DataFrame:
        if probabilities:
            raise self.refuse_probabilities("a caption")
        said = model.predict(samples.pictures).tolist()
        table: pd.DataFrame = pd.DataFrame({"id": samples.ids, "prediction": said})
        return table

    def scores(self, model: Captioner, samples: Captioned) -> tuple[dict[str, Any], str]:
        known = np.flatnonzero(list(map(len, samples.captions or [])))
        if not len(known):
            raise DataError("the pictures have no captions to score against")
        samples = samples.take(known)
        measures = _measures(model, model.predict(samples.pictures).tolist(), samples)
        report = (
            f"exact match {measures['exact_match']:.4f}, BLEU {measures['bleu']:.2f} "
            f"on {measures['pictures']} pictures"
        )
        return measures, report


def _measures(model: Captioner, texts: list[str], samples: Captioned) -> dict[str, Any]:
    assert samples.captions is not None
    return {
        "exact_match": float(exact(texts, samples.captions, model.vocabulary_).mean()),
        "bleu": bleu(texts, samples.captions, model.vocabulary_),
        "pictures": len(texts),
    }


def _draw_attention(said: list[Caption], shown: Any, path: Path) -> None:
    """Where the decoder looked, for the first picture of which it says anything."""
    for caption, pixels in zip(said, shown, strict=False):
        if caption.attention is not None and caption.tokens:
            picture = draw_caption_attention(pixels, caption.tokens, caption.attention)
            save_picture(picture, path)
            return


def _scenes(asked: Asked) -> CaptionedDataset:
    scenes = asked.reading["scenes"]
    sizes = {} if scenes is None else {"train": scenes}
    return SCENES[asked.source](asked.folder, **sizes)


def _refuse_ignored(source: str, reading: Mapping[str, Any]) -> None:
    """Complain about an option that means nothing to the data."""
    files = source not in SCENES
    meant = {"images": files, "image_size": files, "scenes": not files}
    meant["test_fraction"] = files and not Path(source).is_dir()
    defaults = CaptionerReading()
    options = {name: (reading[name], getattr(defaults, name), its) for name, its in meant.items()}
    refuse_given(source, options)


def _check_file(path: Path, source: str) -> None:
    if path.suffix.lower() != ".json":
        raise DataError(
            f"there are no captions {source!r}.{did_you_mean(source, SCENES)} Known: "
            f"{', '.join(SCENES)}, a .json in COCO's format, or a folder of two"
        )


def _divided(path: Path, images: Path | None, reading: Mapping[str, Any]) -> CaptionedDataset:
    """One file, of which a part of the pictures is kept."""
    found = read_coco(path, images, size=reading["image_size"])
    everything, fraction = found.captioned, reading["test_fraction"]
    try:
        train, test = train_test_split(
            np.arange(len(everything.ids)), test_size=fraction, random_state=_SPLIT_SEED
        )
    except ValueError as error:
        raise DataError(f"{path}: cannot be divided into training and test: {error}") from error
    return CaptionedDataset(path.stem, everything.take(train), everything.take(test), found.notes)


def _divided_already(
    folder: Path, images: Path | None, reading: Mapping[str, Any]
) -> CaptionedDataset:
    """A folder of two files, one to learn from, and one to be tested on."""
    parts = []
    for kind, names in (("training", ("*train*.json",)), ("test", ("*test*.json", "*val*.json"))):
        path = _only_file(folder, kind, names)
        parts.append(read_coco(path, images, size=reading["image_size"]))
    notes = [
        f"{part}: {note}"
        for part, coco in zip(("training", "test"), parts, strict=True)
        for note in coco.notes
    ]
    train, test = (coco.captioned for coco in parts)
    return CaptionedDataset(folder.name, train, test, tuple(notes))


def _only_file(folder: Path, kind: str, names: Sequence[str]) -> Path:
    """The file of captions of a part; COCO's folder has others of the same part beside it."""
    for pattern in (*(f"captions_{name}" for name in names), *names):
        found = sorted(folder.glob(pattern))
        if len(found) > 1:
            raise DataError(
                f"{folder} holds several files of {kind} captions, "
                f"{', '.join(path.name for path in found)}; leave one, or name a .json instead"
            )
        if found:
            return found[0]
    raise DataError(
        f"{folder} holds no {kind} captions ({' or '.join(names)}); name a .json instead"
    )


JOB = _CaptionJob()
