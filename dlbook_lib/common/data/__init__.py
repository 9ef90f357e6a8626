"""Real data, the same bytes everywhere, and toy problems drawn from a generator.

>>> from dlbook_lib.common import data
>>> x, y, feature_names = data.breast_cancer()
>>> x.shape, int(y.sum())
((569, 30), 212)

What must be fetched is fetched on first use from a pinned carrier, verified by its
SHA-256 and kept in a cache folder; after that no network is needed.
"""

from dlbook_lib.common.data.cache import folder, is_cached
from dlbook_lib.common.data.loaders import (
    breast_cancer,
    cmudict,
    co2,
    digits,
    fashion_mnist,
    mnist,
    mnist1d,
    names,
    shakespeare,
    sunspots,
)
from dlbook_lib.common.data.sources import FetchError
from dlbook_lib.common.data.toys import curve, rings, spirals, two_moons

__all__ = [
    "FetchError",
    "breast_cancer",
    "cmudict",
    "co2",
    "curve",
    "digits",
    "fashion_mnist",
    "folder",
    "is_cached",
    "mnist",
    "mnist1d",
    "names",
    "rings",
    "shakespeare",
    "spirals",
    "sunspots",
    "two_moons",
]
