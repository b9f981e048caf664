"""Tests; the tree mirrors crypto_pool.

At the top is what tests its top modules, the whole pool or the repository; docs, drills and
benchmarks have a folder each.
crypto_pool is imported first: what it says of threads is read as numpy loads.
"""

import crypto_pool  # noqa: F401
