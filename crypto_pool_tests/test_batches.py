from crypto_pool.defs.batches import PartitionFailure, first_causes


def test_a_coin_that_failed_is_told_once():
    root = PartitionFailure("daily_bars", "UNI", "InsufficientHistory: 275 bars")
    told = first_causes(
        [
            root,
            PartitionFailure("raw_indicators", "UNI", "MissingPartition: daily_bars/UNI"),
            PartitionFailure("champion", "UNI|uptrend", "MissingPartition: daily_bars/UNI"),
        ]
    )
    assert told == [root]


def test_different_failures_are_all_told():
    failures = [
        PartitionFailure("candidates/KNeighbors", "BTC|uptrend", "ValueError: one"),
        PartitionFailure("candidates/LightGBM", "BTC|uptrend", "ValueError: two"),
        PartitionFailure("champion", "ETH|uptrend", "ValueError: one"),
        PartitionFailure("raw_indicators", "SOL", "MissingPartition: daily_bars/SOL"),
    ]
    assert first_causes(failures) == failures
    assert first_causes([failures[0], failures[0]]) == failures[:1]
