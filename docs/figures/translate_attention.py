"""Draw what a translator attends to, for docs/gallery/translate.md.

python docs/figures/translate_attention.py [RUN [TEXT …]]

Without a run folder, a translator of numbers in words is trained first.
"""

import sys
from pathlib import Path

import cellwright as cw
from cellwright.data.parallel_text import read_parallel
from cellwright.look.attention_picture import draw_attention
from cellwright.look.pictures import save_picture

PICTURE = Path(__file__).with_name("translate-attention.png")
SHOWN = 2


def main() -> None:
    """Load or train a translator, and draw some of what it says."""
    if len(sys.argv) > 1:
        model, texts = cw.load(sys.argv[1]), sys.argv[2:]
    else:
        data = read_parallel("numbers", source="en", target="fr")
        model = cw.Translator().fit(data.train.source, data.train.target)
        texts = list(data.test.source[:SHOWN])
    save_picture(draw_attention(model.translate(texts)), PICTURE)


if __name__ == "__main__":
    main()
