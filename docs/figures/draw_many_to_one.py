"""Draw the pictures of the gallery's pages on the regressor and the classifier.

    CELLWRIGHT_SHARED_DATA=FOLDER python docs/figures/draw_many_to_one.py

Trains the recipes of `benchmarks/gallery` with seed 0: a minute or two.
"""

import sys
from pathlib import Path

import numpy as np

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parents[1] / "benchmarks"))

from gallery import classify, regress  # noqa: E402

import cellwright as cw  # noqa: E402
from cellwright.look.calibration_picture import draw_calibration  # noqa: E402
from cellwright.look.pictures import save_picture  # noqa: E402
from cellwright.look.regression_pictures import draw_predicted  # noqa: E402


def main() -> None:
    """Train, test, draw."""
    data = regress.engines_data()
    model = regress.trained(data, seed=0)
    told = model.predict(data.test.x)[:, None]
    ends = tuple(end[:, None] for end in model.predict_interval(data.test.x, 0.9))
    picture = draw_predicted(data.test.y, told, ends, level=0.9, names=("remaining cycles",))
    save_picture(picture, HERE / "engines.png")
    reviews = classify.reviews_data()
    reader = cw.SequenceClassifier(**classify.REVIEWS).fit(reviews.train.x, reviews.train.y)
    chances = reader.predict_proba(reviews.test.x)
    picture = draw_calibration(np.asarray(reviews.test.y), chances, reader.classes_)
    save_picture(picture, HERE / "reviews-calibration.png")


if __name__ == "__main__":
    main()
