"""The pool's whole life replayed over history, with a simulated clock."""
