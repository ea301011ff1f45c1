"""Pictures of answers over time: what is drawn, not how it looks."""

import numpy as np
import pytest

from cellwright.look.pictures import save_picture
from cellwright.look.step_pictures import draw_step_labels, draw_step_numbers

CLASSES = np.array(["a", "b", "c"])


def test_truth_stands_above_the_prediction_and_wrong_steps_are_ticked(tmp_path):
    truth, found = CLASSES[[0, 1, 2, 0]], CLASSES[[0, 2, 2, 1]]
    figure = draw_step_labels([truth, truth], [found, truth], CLASSES, names=["one", "two"])
    first, second = figure.axes
    assert first.images[0].get_array().tolist() == [[0, 1, 2, 0], [0, 2, 2, 1]]
    assert first.lines[0].get_xdata().tolist() == [1, 3]
    assert not second.lines
    assert first.get_title() == "one: 50.0% of 4 steps right"
    assert [text.get_text() for text in first.texts] == list("abcaaccb")
    save_picture(figure, tmp_path / "steps.png")
    assert (tmp_path / "steps.png").stat().st_size > 1000


@pytest.mark.parametrize("right", [False, True])
def test_words_stand_below_their_labels(right, tmp_path):
    words = [["We", "go"], ["Go"]]
    truth = [CLASSES[[0, 1]], CLASSES[[1]]]
    found = truth if right else [CLASSES[[1, 1]], CLASSES[[1]]]
    figure = draw_step_labels(truth, found, CLASSES, names=["s1", "s2"], words=words)
    shown = [[text.get_text() for text in axes.get_xticklabels()] for axes in figure.axes]
    assert shown == words
    save_picture(figure, tmp_path / "words.png")


def test_of_long_sequences_the_first_steps_are_drawn():
    long = CLASSES[np.arange(1000) % 3]
    figure = draw_step_labels([long], [long], CLASSES, names=["long"])
    assert figure.axes[0].images[0].get_array().shape == (2, 400)
    numbers = draw_step_numbers([np.arange(1000.0)], [np.zeros(1000)], names=["long"])
    truth, _, found, _ = numbers.axes[0].lines
    assert truth.get_ydata().tolist() == list(range(400))
    assert not found.get_ydata().any()


def test_a_number_that_is_known_alone_is_seen():
    nan = np.nan
    truth = np.array([nan, 2.0, nan, 3.0, 4.0, nan, 5.0])
    figure = draw_step_numbers([truth], [np.arange(7.0)], names=["some"])
    alone, none = figure.axes[0].lines[1], figure.axes[0].lines[3]
    assert alone.get_marker() == "."
    assert alone.get_xdata().tolist() == [1, 6]
    assert alone.get_ydata().tolist() == [2, 5]
    assert not len(none.get_xdata())


@pytest.mark.parametrize("label", ["c", "a name that is long and goes on and on and on"])
def test_the_legend_is_whole_and_labels_stay_in_their_steps(label, tmp_path):
    classes = np.array([f"{label}{number:02}" for number in range(20)])
    figure = draw_step_labels([classes], [classes], classes, names=["one"])
    save_picture(figure, tmp_path / "steps.png")
    (legend,) = figure.legends
    assert figure.bbox.contains(*legend.get_window_extent().min)
    assert figure.bbox.contains(*legend.get_window_extent().max)
    first, second = figure.axes[0].texts[:2]
    assert first.get_window_extent().x1 <= second.get_window_extent().x0 + 1
