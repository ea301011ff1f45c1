"""Keras runs on torch here; it reads this when it is imported."""

import os

os.environ.setdefault("KERAS_BACKEND", "torch")
