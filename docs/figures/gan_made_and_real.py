"""Draw made windows beside real ones, for docs/gallery/gan.md.

python docs/figures/gan_made_and_real.py
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))
from gallery.gan import TEMPERATURES
from gallery.recipe import data_folder

import cellwright as cw
from cellwright.jobs import configure
from cellwright.look.gan_picture import draw_made_and_real
from cellwright.look.pictures import save_picture

PICTURE = Path(__file__).with_name("gan-temperatures.png")


def main() -> None:
    """Train as the gallery does, and draw."""
    source = data_folder("timeseries-classic") / "daily-min-temperatures.csv"
    data = configure(job="gan", data=str(source)).read_data()
    made = cw.SequenceGAN(**TEMPERATURES).fit(data.train.x).sample_like(data.test.x)
    real = list(data.test.x)
    # Windows that follow each other overlap; the first that are drawn do not.
    apart = [*real[::48], *real[24::48]]
    save_picture(draw_made_and_real([*apart, *real], list(made), names=data.test.x.names), PICTURE)


if __name__ == "__main__":
    main()
