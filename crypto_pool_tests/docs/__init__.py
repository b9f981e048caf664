"""Tests that the README and docs/ say what is so, and that what they show runs."""
