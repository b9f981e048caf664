"""Benchmarks: figures of speed and size, measured on this machine."""
