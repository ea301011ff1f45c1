"""Read-only views: what a cell is, what a network remembers, and how a training went.

The names stand in ``__init__.pyi``; each is imported when it is first used, so that looking at
equations need not wait for torch.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
