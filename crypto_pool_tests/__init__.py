"""Tests; the tree mirrors crypto_pool."""
