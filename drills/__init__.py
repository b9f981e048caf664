"""Drills: each module breaks something on purpose and measures how the pool bears it."""
