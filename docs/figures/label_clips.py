"""Draw what the labeller says of four clips of digits, for docs/gallery/label.md.

python docs/figures/label_clips.py
"""

from pathlib import Path

import cellwright as cw
from cellwright.data.clips import clips_of_digits
from cellwright.look.pictures import save_picture
from cellwright.look.step_pictures import draw_step_labels

PICTURE = Path(__file__).with_name("label-clips.png")
SHOWN = 4


def main() -> None:
    """Train on the default data of the job, and draw the first test clips."""
    train, (clips, truth) = clips_of_digits()
    model = cw.SequenceLabeler(layers=[64]).fit(*train)
    print(f"accuracy on the test clips: {model.score(clips, truth):.4f}")
    found = model.predict(clips)[:SHOWN]
    names = [f"clip {number}" for number in range(SHOWN)]
    save_picture(draw_step_labels(truth[:SHOWN], found, model.classes_, names=names), PICTURE)


if __name__ == "__main__":
    main()
