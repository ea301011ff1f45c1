"""Draw forecasts of six of M4's hourly series, for docs/gallery/forecast.md.

python docs/figures/forecast_hours.py
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))
from gallery.forecast import m4_forecaster

from cellwright.look.forecast_picture import draw_forecasts
from cellwright.look.pictures import save_picture

if __name__ == "__main__":
    model, whole = m4_forecaster(0)
    known = whole.without_last(48)
    figure = draw_forecasts(
        known.frame(), model.predict(known), whole.last(48).frame(), levels=[80, 95]
    )
    save_picture(figure, Path(__file__).with_name("forecast-hours.png"))
