"""What is computed: pure functions and frozen values, without clock, disk or network."""
