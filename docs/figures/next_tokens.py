"""Draw what a language model expects of its test text, for docs/gallery/language.md.

python docs/figures/next_tokens.py [MODEL]      trains for half a minute unless a model is named
"""

import sys
from pathlib import Path

import cellwright as cw
from cellwright.data.documents import divide_text
from cellwright.jobs.language.job import next_tokens_picture
from cellwright.look.pictures import save_picture

PICTURE = Path(__file__).with_name("next-tokens.png")


def main() -> None:
    """Draw the first characters of a test part, and what was expected in place of each."""
    data = divide_text("descriptions")
    model = cw.load(sys.argv[1]) if len(sys.argv) > 1 else cw.LanguageModel().fit(data.train)
    print(f"{model.bits_per_character(data.test):.4f} bits a character")
    print(model.generate("The ", 300, temperature=0.5, random_state=0))
    save_picture(next_tokens_picture(model, data.test[0]), PICTURE)


if __name__ == "__main__":
    main()
