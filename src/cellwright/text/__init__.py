"""Text as whole numbers and back.

The libraries behind it are loaded at first use, so that whoever has no text needs none of them.
"""

from __future__ import annotations

from cellwright.text.vocabulary import Kind, Vocabulary

__all__ = ["Kind", "Vocabulary"]
