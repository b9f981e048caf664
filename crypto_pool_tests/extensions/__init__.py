"""The worked examples of docs/extending.md, and their tests."""
