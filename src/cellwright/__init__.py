"""cellwright: recurrent networks written as equations.

The public names stand in ``__init__.pyi``, where type checkers read them too; each is
imported when it is first used.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
__version__ = "0.1.0"
