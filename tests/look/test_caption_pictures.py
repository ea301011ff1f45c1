"""Pictures of captions and of what was looked at."""

import numpy as np
import pytest

from cellwright.look.caption_pictures import draw_caption_attention, draw_captions


def pixels(*shape):
    return np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)


@pytest.mark.parametrize("channels", [1, 3])
def test_captions_stand_below_their_pictures(channels):
    said = ["a two", "a four above a five and so on for as long as it takes", "a nine"]
    given = [["a one", "a two"], ["a four"], ["a nine"]]
    figure = draw_captions(pixels(3, 8, 8, channels), said, given, [True, False, True])
    panels = [panel for panel in figure.axes if panel.images]
    titles = [panel.get_title() for panel in panels]
    assert titles[0] == "a two"
    assert "(a four)" in titles[1]
    assert max(map(len, titles[1].split("\n"))) <= 30
    colours = [panel.title.get_color() for panel in panels]
    assert colours[0] == colours[2] != colours[1]
    figure.canvas.draw()


def test_without_references_nothing_is_right_or_wrong():
    figure = draw_captions(pixels(5, 8, 8, 3), ["so"] * 5)
    panels = [panel for panel in figure.axes if panel.images]
    assert len(panels) == 5
    assert {panel.title.get_color() for panel in panels} == {"black"}


def test_what_was_looked_at_lies_over_the_picture():
    weights = np.zeros((8, 2, 3))
    weights[np.arange(8), np.arange(8) % 2, np.arange(8) % 3] = 1
    words = [f"word{number}" for number in range(8)]
    figure = draw_caption_attention(pixels(20, 30, 1), words, weights)
    panels = [panel for panel in figure.axes if panel.images]
    assert [panel.get_title() for panel in panels] == ["", *words]
    for number, panel in enumerate(panels[1:]):
        picture, light = panel.images
        assert np.array_equal(light.get_array(), weights[number])
        assert light.get_extent() == picture.get_extent()
    figure.canvas.draw()


def test_of_a_long_caption_the_first_words_are_drawn():
    figure = draw_caption_attention(pixels(8, 8, 3), list("abc" * 99), np.ones((297, 2, 2)))
    assert sum(bool(panel.images) for panel in figure.axes) == 36
