"""The short forms of the benchmarks."""
