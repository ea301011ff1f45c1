"""Pictures: what is drawn, not how it looks."""

from itertools import pairwise

import numpy as np
import pytest
import torch
from matplotlib.figure import Figure

from cellwright.errors import ArgumentError, ShapeError
from cellwright.look.pictures import (
    draw_confusion,
    draw_learning_curve,
    draw_signals,
    save_picture,
)


def row(epoch, **measures):
    return {"epoch": epoch, "train_loss": 1 / epoch, "train_accuracy": 0.5, **measures}


@pytest.mark.parametrize("validation", [{}, {"validation_loss": 2.0, "validation_accuracy": 0.4}])
def test_the_learning_curve_has_a_line_for_each_part(validation):
    figure = draw_learning_curve([row(1, **validation), row(2, **validation)])
    loss, accuracy = figure.axes
    assert [axes.get_title() for axes in figure.axes] == ["loss", "accuracy"]
    assert list(loss.lines[0].get_ydata()) == [1.0, 0.5]
    assert len(loss.lines) == len(accuracy.lines) == 1 + bool(validation)


@pytest.mark.parametrize("labels", [["a", "b"], [0, 1], [False, True], ["long name", "other"]])
def test_the_confusion_matrix_counts(labels):
    classes = np.array(labels)
    figure = draw_confusion(classes[[0, 0, 1]], classes[[0, 1, 1]], classes)
    assert figure.axes[0].images[0].get_array().tolist() == [[1, 1], [0, 1]]
    assert figure.axes[0].get_title() == "66.67% of 3 right"


def test_a_class_that_the_test_lacks_has_its_row():
    figure = draw_confusion(np.array([0, 0]), np.array([0, 0]), np.arange(40))
    assert figure.axes[0].images[0].get_array().shape == (40, 40)


def test_a_gate_is_drawn_between_zero_and_one_and_others_around_zero():
    signals = {"f": torch.rand(5, 3), "c": torch.tensor([[-3.0], [1.0]]), "n": torch.zeros(2, 1)}
    figure = draw_signals(signals, ["f", "c"], sequence=np.zeros((5, 2)), ticks=list("abcde"))
    assert figure.axes[1].images[0].get_clim() == (0, 1)
    assert figure.axes[2].images[0].get_clim() == (-3, 3)
    draw_signals(signals, ["n"])


def test_a_picture_is_a_png(tmp_path):
    save_picture(draw_learning_curve([row(1)]), tmp_path / "curve.png")
    assert (tmp_path / "curve.png").read_bytes().startswith(b"\x89PNG")
    assert [path.name for path in tmp_path.iterdir()] == ["curve.png"]


def test_dollars_are_no_formulas_but_powers_of_ten_are(tmp_path):
    bad = "$$ $x_$"
    figure = Figure(layout="constrained")
    left, right = figure.subplots(1, 2)
    figure.suptitle(bad)
    left.set(title=bad, xlabel=bad, yscale="log", ylim=(1e-9, 1e9))
    left.plot([0, 1], [1, 2], label=bad)
    left.legend(title=bad)
    left.text(0, 1, bad)
    left.annotate(bad, (0, 1))
    left.set_xticks([0, 1], [bad, bad])
    right.bar([bad, "b"], [1, 2])
    figure.legend(title=bad)
    save_picture(figure, tmp_path / "some.png")
    assert all(label.get_parse_math() for label in left.get_yticklabels())
    assert left.get_yticklabels()[0].get_text().startswith("$")
    assert not any(label.get_parse_math() for label in left.get_xticklabels())


def test_labels_with_dollars_are_drawn(tmp_path):
    classes = np.array(["$$", "b", "cost $"])
    save_picture(draw_confusion(classes, classes, classes), tmp_path / "confusion.png")


def test_what_is_no_number_does_not_stretch_or_hide_the_scale():
    nan, inf = float("nan"), float("inf")
    signals = {
        "c": torch.tensor([[1.0, nan], [-2.0, 3.0]]),
        "far": torch.tensor([[0.5, inf], [0.5, 0.5]]),
        "f": torch.tensor([[0.5, nan]]).bfloat16(),
        "none": torch.full((2, 2), nan),
        "zero": torch.zeros(2, 2),
        "negative": -torch.ones(2, 2),
    }
    figure = draw_signals(signals, list(signals))
    limits = [panel.images[0].get_clim() for panel in figure.axes[: len(signals)]]
    assert limits == [(-3, 3), (-0.5, 0.5), (0, 1), (0, 1), (0, 1), (-1, 1)]
    assert figure.axes[0].images[0].cmap.get_bad()[:3].tolist() == [0, 0, 0]


def test_a_signal_that_cannot_be_drawn_is_refused_in_words():
    signals = {"cell": torch.zeros(5, 3), "both": torch.zeros(5, 2, 3)}
    with pytest.raises(ArgumentError, match="no signal 'cel'.*cell"):
        draw_signals(signals, ["cel"])
    with pytest.raises(ArgumentError, match="nothing to draw"):
        draw_signals(signals, [])
    with pytest.raises(ShapeError, match=r"'both': expected \(time, units\).*\(5, 2, 3\)"):
        draw_signals(signals, ["both"])


def test_steps_are_whole_and_many_words_stand_upright(tmp_path):
    figure = draw_signals({"f": torch.rand(2, 3)}, ["f"])
    save_picture(figure, tmp_path / "few.png")
    assert all(float(place).is_integer() for place in figure.axes[0].get_xticks())
    words = [f"word{number}" for number in range(40)]
    figure = draw_signals({"f": torch.rand(40, 3)}, ["f"], ticks=words)
    assert {text.get_rotation() for text in figure.axes[0].get_xticklabels()} == {90.0}


@pytest.mark.filterwarnings("error")
def test_long_labels_leave_room_for_the_matrix_and_are_told_apart(tmp_path):
    classes = np.array(["a" + "x" * 200 + "1", "a" + "x" * 200 + "2"])
    figure = draw_confusion(classes, classes, classes)
    save_picture(figure, tmp_path / "confusion.png")
    shown = [text.get_text() for text in figure.axes[0].get_yticklabels()]
    assert [len(label) for label in shown] == [24, 24]
    assert shown[0].endswith("1")
    assert shown[1].endswith("2")


@pytest.mark.parametrize("count", [12, 300])
def test_labels_of_many_classes_do_not_stand_on_each_other(count, tmp_path):
    classes = np.arange(1000, 1000 + count)
    figure = draw_confusion(classes, classes, classes)
    save_picture(figure, tmp_path / "confusion.png")
    labels = figure.axes[0].get_yticklabels()
    boxes = [text.get_window_extent() for text in labels]
    assert all(lower.y1 <= upper.y0 + 1 for upper, lower in pairwise(boxes))
    # Each label stands at its own row.
    assert all(int(text.get_text()) == 1000 + text.get_position()[1] for text in labels)
    assert len(labels) == count if count < 100 else len(labels) > 50
