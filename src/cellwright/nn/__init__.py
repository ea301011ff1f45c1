"""Torch modules: stacks of any cell, and drop-ins for torch's own."""

from cellwright.nn.drop_in import GRU, LSTM, RNN
from cellwright.nn.initialization import SCHEMES, Initialization
from cellwright.nn.recurrent import Recurrent
from cellwright.nn.states import State

__all__ = ["GRU", "LSTM", "RNN", "SCHEMES", "Initialization", "Recurrent", "State"]
