"""Draw what the transcriber hears and reads where, for docs/gallery/transcribe.md.

python docs/figures/transcribe_alignments.py DIGITS.cw WORDS.cw

The models are those of benchmarks/gallery/transcribe.py, stored by `Transcriber.save`, or runs of
the same data; the data are found as the gallery finds them.
"""

import sys
from pathlib import Path

import numpy as np

import cellwright as cw
from cellwright.jobs.transcribe.job import draw
from cellwright.look.pictures import save_picture

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parents[1] / "benchmarks"))

from gallery.transcribe import digits_data, words_data  # noqa: E402


def main() -> None:
    """The first test sample of each, aligned to what the model wrote."""
    for name, path, read in (
        ("digits", sys.argv[1], digits_data),
        ("words", sys.argv[2], words_data),
    ):
        model, test = cw.load(path), read().test
        one = test.take(np.array([0]))
        (said,) = model.predict(one.x)
        spans = model.align(one.x, [said])[0].spans
        picture = draw(one.x, spans, f"{said} (truth: {one.texts[0]})")
        save_picture(picture, HERE / f"transcribe-{name}.png")


if __name__ == "__main__":
    main()
