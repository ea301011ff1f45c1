"""Draw where the captioner looks for each word, for docs/gallery/caption.md.

python docs/figures/caption_scene.py
"""

from pathlib import Path

import numpy as np

import cellwright as cw
from cellwright.data.scenes import digit_scenes
from cellwright.look.caption_pictures import draw_caption_attention
from cellwright.look.pictures import save_picture

PICTURE = Path(__file__).with_name("caption-scene.png")


def main() -> None:
    """Train on the default data of the job, and draw the first test scene that is right."""
    data = digit_scenes()
    model = cw.Captioner().fit(data.train.pictures, data.train.captions)
    print(f"exact match: {model.score(data.test.pictures, data.test.captions):.4f}")
    said = model.describe(data.test.pictures)
    right = [n for n, caption in enumerate(said) if caption.text in data.test.captions[n]]
    pixels = data.test.pictures.pixels(np.array(right[:1]))[0]
    shown = said[right[0]]
    save_picture(draw_caption_attention(pixels, shown.tokens, shown.attention), PICTURE)


if __name__ == "__main__":
    main()
