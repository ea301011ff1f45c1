"""Pictures of a language model."""

import numpy as np
import pytest

from cellwright.look.language_picture import draw_bits, draw_next_tokens


def test_bits_by_epoch():
    history = [
        {"epoch": 1, "train_loss": 2.0, "validation_loss": 2.2},
        {"epoch": 2, "train_loss": 1.0, "validation_loss": 1.5},
    ]
    figure = draw_bits(history, 0.5, {"bits_per_character": 0.7})
    lines = {line.get_label(): line.get_ydata() for line in figure.axes[0].lines}
    assert list(lines["training"]) == [1.0, 0.5]
    assert list(lines["validation"]) == [1.1, 0.75]
    assert list(lines["test 0.700"]) == pytest.approx([0.7, 0.7])


def test_the_likeliest_stand_on_top_and_the_right_one_is_bold():
    names = ["a", "\n", "$x$", "along_long_word"]
    chances = np.array([[0.1, 0.6, 0.3, 0.0], [0.2, 0.1, 0.3, 0.4]])
    figure = draw_next_tokens(names, [2, 3], chances)
    axes = figure.axes[0]
    rows = {(t.get_position(), t.get_text()): t.get_fontweight() for t in axes.texts}
    assert rows[(0, 0), "⏎"] == "normal"
    assert rows[(0, 1), "$x$"] == "bold"
    assert rows[(1, 0), "along_l…"] == "bold"
    assert [label.get_text() for label in axes.get_xticklabels()] == ["$x$", "along_l…"]
    figure.canvas.draw()
