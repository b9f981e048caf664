"""Tests of the Dagster code: its assets, checks, sensors and schedules."""
