"""Tests of what one member goes through."""
