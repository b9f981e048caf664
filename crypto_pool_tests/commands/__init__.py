"""Tests of the commands of `crypto-pool`, each in this process or as a user starts it."""
