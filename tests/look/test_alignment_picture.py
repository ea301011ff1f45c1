"""Pictures of alignments."""

import numpy as np

from cellwright.look.alignment_picture import (
    draw_aligned_features,
    draw_aligned_strokes,
    draw_aligned_wave,
)
from cellwright.look.pictures import save_picture


def named(figure):
    return {note.get_text(): note for note in figure.axes[0].texts}


def test_a_wave_has_its_symbols_at_their_seconds(tmp_path):
    wave = np.sin(np.arange(4000) / 5)
    figure = draw_aligned_wave(wave, 8000, [("3", 0.1, 0.2), ("1", 0.3, 0.4)], "31")
    assert [round(note.xy[0], 6) for note in named(figure).values()] == [0.15, 0.35]
    assert figure.axes[0].get_xlim() == (0, 0.5)
    seen = [patch.get_x() for patch in figure.axes[0].patches]
    assert seen == [0.1, 0.3]
    save_picture(figure, tmp_path / "wave.png")
    assert (tmp_path / "wave.png").stat().st_size > 5000


def test_features_have_theirs_at_their_steps():
    figure = draw_aligned_features(np.eye(6)[:, :4], [("a", 1, 3)])
    assert named(figure)["a"].xy[0] == 2
    assert np.array_equal(figure.axes[0].images[0].get_array(), np.eye(6)[:, :4].T)


def test_strokes_are_coloured_from_first_to_last_step():
    moves = np.ones((10, 3))
    figure = draw_aligned_strokes(moves, [("a", 2, 5), ("b", 7, 8)])
    whole, first, second = figure.axes[0].lines
    assert whole.get_xdata().tolist() == list(range(1, 11))
    assert first.get_xdata().tolist() == [2, 3, 4, 5, 6]
    assert second.get_xdata().tolist() == [7, 8, 9]
    assert set(named(figure)) == {"a", "b"}
