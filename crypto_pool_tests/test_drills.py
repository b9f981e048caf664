"""The short form of each drill."""

from drills import request_budget


def test_processes_at_once_keep_within_the_request_budget():
    figures = request_budget.run(seconds=4)
    assert figures["refused_by_server"] == 0
    assert figures["windows_over_limit"] == 0
    assert figures["throughput_ratio"] > 0.5


def test_a_window_over_the_limit_is_counted():
    assert request_budget._windows_over([0.0, 0.1, 0.2, 5.0], 1.0, 2) == 1
    assert request_budget._windows_over([0.0, 0.1, 1.2, 5.0], 1.0, 2) == 0
