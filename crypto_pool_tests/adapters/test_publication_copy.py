"""A copy of each publication, in a store that may not take it."""

import fsspec
import pytest

from crypto_pool.adapters.publication_copy import copy_publication
from crypto_pool.errors import StoreUnavailable


def test_a_copy_takes_the_place_of_the_one_before(tmp_path):
    for content in (b"first", b"second"):
        (tmp_path / "made.duckdb").write_bytes(content)
        where = copy_publication(tmp_path / "made.duckdb", str(tmp_path / "shared"))
    assert where == str(tmp_path / "shared" / "crypto_pool.duckdb")
    assert [path.name for path in (tmp_path / "shared").iterdir()] == ["crypto_pool.duckdb"]
    assert (tmp_path / "shared" / "crypto_pool.duckdb").read_bytes() == b"second"


def test_a_copy_in_an_object_store_takes_the_place_of_the_one_before_too(tmp_path):
    for content in (b"first", b"second"):
        (tmp_path / "made.duckdb").write_bytes(content)
        where = copy_publication(tmp_path / "made.duckdb", f"memory://{tmp_path.name}/")
    assert where == f"memory://{tmp_path.name}/crypto_pool.duckdb"
    assert fsspec.filesystem("memory").cat_file(where) == b"second"


def test_a_store_that_takes_no_file_keeps_the_copy_before(tmp_path):
    made = tmp_path / "made.duckdb"
    made.write_bytes(b"first")
    copy_publication(made, str(tmp_path))
    with pytest.raises(StoreUnavailable, match="CRYPTO_POOL_PUBLICATION_ROOT"):
        copy_publication(tmp_path / "gone.duckdb", str(tmp_path))
    with pytest.raises(StoreUnavailable, match="no-such-store"):
        copy_publication(made, "no-such-store://bucket")
    assert (tmp_path / "crypto_pool.duckdb").read_bytes() == b"first"


def test_where_a_copy_went_is_told_without_what_lets_one_in(tmp_path):
    (tmp_path / "made.duckdb").write_bytes(b"first")
    with pytest.raises(StoreUnavailable) as refused:
        copy_publication(tmp_path / "made.duckdb", "no-such-store://user:s3cret@host/x")
    assert "no-such-store://host/x/crypto_pool.duckdb" in str(refused.value)
    assert "s3cret" not in str(refused.value)
    where = copy_publication(tmp_path / "made.duckdb", "memory://user:s3cret@host/x")
    assert where == "memory://host/x/crypto_pool.duckdb"
