"""What a user asks for: fit, predict, score, save, load.

The names stand in ``__init__.pyi``; each is imported when it is first used, so that a
command line that only prints its help need not wait for torch.
"""

import lazy_loader

from cellwright.errors import require_extra

require_extra("jobs", "lightning_fabric", "matplotlib", "pandas", "sklearn", "yaml")

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
