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


def test_throughput_is_measured_while_the_limit_of_a_second_binds():
    steady = [second + part / 5 for second in range(30) for part in range(5)]
    assert request_budget._throughput([*steady, 60.0], 40.0) == 1.0
    assert request_budget._throughput(steady[::2], 40.0) == 0.5
