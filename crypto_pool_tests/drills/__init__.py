"""The short forms of the drills."""
