"""The tables of the benchmark, each a function from the setting of the run to a section."""

from collections.abc import Callable
from functools import partial

from peers.claims import Section
from peers.sections import custom, fresh, ragged, streaming, vendor, zoo
from peers.setting import Setting

__all__ = ["SECTIONS", "ZOO"]

# In the order in which they run: the last one takes what a quick run has left.
SECTIONS: dict[str, Callable[[Setting], Section]] = {
    "lstm-training": partial(vendor.training, "LSTM"),
    "gru-training": partial(vendor.training, "GRU"),
    "rnn-training": partial(vendor.training, "RNN"),
    "lstm-inference": partial(vendor.inference, "LSTM"),
    "gru-inference": partial(vendor.inference, "GRU"),
    "ragged": ragged.section,
    "streaming": streaming.section,
    "compile": fresh.compiling,
    "memory": fresh.memory,
    "busy": fresh.busy,
    "cells": custom.section,
}

# Apart, because every cell of the zoo is one more to compile.
ZOO: dict[str, Callable[[Setting], Section]] = {"zoo": zoo.section}
