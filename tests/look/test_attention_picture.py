"""Pictures of attention: a map for each translation, its tokens beside it."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from cellwright.errors import DataError
from cellwright.look.attention_picture import draw_attention
from cellwright.look.pictures import save_picture


def told(rows, columns, weights=True):
    return SimpleNamespace(
        source_tokens=[f"s{n}" for n in range(columns)],
        target_tokens=[f"t{n}" for n in range(rows)],
        weights=torch.rand(rows, columns) if weights else None,
    )


def test_each_translation_has_its_map_and_its_words(tmp_path):
    first, second = told(3, 5), told(2, 4)
    first.source_tokens[1] = " $x_$ "
    figure = draw_attention([first, second])
    top, bottom = figure.axes
    np.testing.assert_allclose(top.images[0].get_array(), first.weights)
    assert top.images[0].get_clim() == (0, 1)
    assert [text.get_text() for text in bottom.get_yticklabels()] == ["t0", "t1"]
    assert [text.get_text() for text in top.get_xticklabels()][:3] == ["s0", "$x_$", "s2"]
    save_picture(figure, tmp_path / "picture.png")
    assert (tmp_path / "picture.png").stat().st_size > 1000


def test_a_translation_of_no_tokens_can_be_drawn(tmp_path):
    save_picture(draw_attention([told(0, 3), told(1, 1)]), tmp_path / "picture.png")


def test_refusals():
    with pytest.raises(DataError, match="no attention to draw"):
        draw_attention([told(1, 2), told(1, 2, weights=False)])
    with pytest.raises(DataError, match="no translation"):
        draw_attention([])
