"""`crypto-pool backup` refuses what it cannot hold."""


def test_a_backup_says_what_it_cannot_hold(new_pool):
    pool = new_pool(mlflow_artifact_root="s3://bucket/artifacts")
    done = pool.ask("backup", "pool.tar.gz")
    assert done.returncode == 4
    assert "CRYPTO_POOL_MLFLOW_ARTIFACT_ROOT" in " ".join(done.stderr.split())
