"""Sequences of tasks as tests read them."""

import numpy as np


def sequences(data):
    """Those of a draw, one by one, in double precision."""
    return [np.asarray(x, np.float64) for x in data.x]


def letters(x, alphabet):
    """The text that vectors with a single 1 stand for."""
    assert np.isin(x, (0, 1)).all()
    assert (x.sum(1) == 1).all()
    return "".join(alphabet[at] for at in x.argmax(1))
