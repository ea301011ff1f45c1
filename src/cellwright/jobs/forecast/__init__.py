"""Many to many, delayed: how each of many series goes on.

The names are imported when they are first used.
"""

from __future__ import annotations

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "estimator": ["Forecaster"],
        "folder_job": ["JOB"],
        "measures": ["measure", "overall_weighted_average"],
        "naive": ["naive2", "seasonal_naive"],
    },
)
