"""A cell as a picture: parts, where they stand, how lines run between them, and SVG."""

from cellwright.look.diagrams.drawing import diagram

__all__ = ["diagram"]
