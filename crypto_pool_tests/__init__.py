"""Tests; the tree mirrors crypto_pool.

That is imported first: what it says of threads is read as numpy loads.
"""

import crypto_pool  # noqa: F401
