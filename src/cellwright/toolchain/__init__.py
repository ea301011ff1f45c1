"""From C++ to a loaded library: a compiler is found, and what it makes is kept.

This room knows nothing of cells or graphs: it is given a source and a name.
"""

from cellwright.toolchain.beside import beside
from cellwright.toolchain.library import compile_library, load, open_library
from cellwright.toolchain.search import Compiler, compiler
from cellwright.toolchain.survey import Survey, clear_cache, describe

__all__ = [
    "Compiler",
    "Survey",
    "beside",
    "clear_cache",
    "compile_library",
    "compiler",
    "describe",
    "load",
    "open_library",
]
