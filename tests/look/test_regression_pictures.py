"""Pictures of numbers that were told: what stands in them."""

import numpy as np
import pytest

from cellwright.look.pictures import save_picture
from cellwright.look.regression_pictures import draw_predicted

TRUTH = np.array([[1.0], [2.0], [3.0], [4.0]])
TOLD = np.array([[1.0], [2.0], [3.0], [2.0]])


def test_samples_outside_their_interval_are_told_apart():
    figure = draw_predicted(TRUTH, TOLD, (TOLD - 0.5, TOLD + 0.5), level=0.8, names=["speed"])
    scatter, by_truth = figure.axes
    assert scatter.get_title() == "RMSE 1, R² 0.2000"
    assert scatter.get_xlabel() == "true speed"
    inside, outside = (drawn.get_offsets() for drawn in scatter.collections[-2:])
    assert len(inside) == 3
    assert outside.tolist() == [[4, 2]]
    assert by_truth.get_title() == "75.0% of 4 in the 80% interval"


def test_without_intervals_nothing_is_said_of_them(tmp_path):
    figure = draw_predicted(TRUTH, TOLD, None)
    assert figure.axes[1].get_title() == ""
    save_picture(figure, tmp_path / "some.png")
    assert (tmp_path / "some.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(("targets", "rows"), [(1, 1), (3, 3), (9, 6)])
def test_every_target_has_its_row_up_to_six(targets, rows):
    truth = np.random.default_rng(0).random((5, targets))
    figure = draw_predicted(truth, truth, (truth - 1, truth + 1), names=list("abcdefghi")[:targets])
    assert len(figure.axes) == 2 * rows


def test_one_sample_can_be_drawn():
    figure = draw_predicted(TRUTH[:1], TOLD[:1], (TOLD[:1], TOLD[:1]))
    assert figure.axes[0].get_title() == "RMSE 0"
