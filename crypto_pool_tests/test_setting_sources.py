"""How settings are written, in the environment, `.env` and `pool.toml`, and what is no way to."""

import pytest

from crypto_pool.setting_groups import DEFAULT_SYMBOLS
from crypto_pool.settings import load_settings
from crypto_pool_tests.refused_settings import refused

pytestmark = pytest.mark.usefixtures("fresh_settings")


@pytest.mark.parametrize("source", ["environment", ".env", "pool.toml"])
def test_blanks_around_a_value_are_no_part_of_it(monkeypatch, tmp_path, source):
    values = {"alpha_vantage_api_key": "KEY", "series_type": "high", "quote_currency": "EUR"}
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path))
    if source == "environment":
        for name, value in values.items():
            monkeypatch.setenv(f"CRYPTO_POOL_{name.upper()}", f" \t{value}\xa0\n")
    elif source == ".env":
        lines = [f"CRYPTO_POOL_{name.upper()}=' {value} '\n" for name, value in values.items()]
        (tmp_path / ".env").write_text("".join(lines))
    else:
        del values["alpha_vantage_api_key"]
        (tmp_path / "pool.toml").write_text(
            "".join(f'{name} = " {value}\\t"\n' for name, value in values.items())
        )
    held = load_settings()
    for name, value in values.items():
        found = getattr(held, name)
        assert (found if isinstance(found, str) else found.get_secret_value()) == value


def test_a_secret_of_blanks_is_none(monkeypatch):
    """It would be taken out of every text that is told."""
    monkeypatch.setenv("CRYPTO_POOL_ALPHA_VANTAGE_API_KEY", "  ")
    assert load_settings().alpha_vantage_api_key is None


@pytest.mark.parametrize("unseen", ["\x1b", "\u200b", "\u202e", "\udcff", "\n"])
@pytest.mark.parametrize("name", ["provider", "alpha_vantage_api_key", "serving_token", "seed"])
def test_a_letter_that_nobody_can_see_is_refused_by_name(monkeypatch, name, unseen):
    said = refused(monkeypatch, **{name: f"1{unseen}2"})
    assert f"CRYPTO_POOL_{name.upper()}: holds {unseen!a}, which cannot be seen" in said
    assert said.isascii()


@pytest.mark.parametrize("source", ["environment", "file"])
def test_a_misspelt_setting_is_refused_with_the_nearest(monkeypatch, tmp_path, source):
    if source == "environment":
        monkeypatch.setenv("CRYPTO_POOL_SYMBOL", "BTC")
    else:
        (tmp_path / ".env").write_text("crypto_pool_symbol=BTC\n")
    said = refused(monkeypatch, seed="x", qwertz="1")
    assert "CRYPTO_POOL_SYMBOL: there is no such setting; did you mean CRYPTO_POOL_SYMBOLS?" in said
    assert "CRYPTO_POOL_QWERTZ: there is no such setting; docs/configuration.md lists all" in said
    assert "CRYPTO_POOL_SEED: " in said


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("seed = 1\nSeed = 2", "seed stands there in two spellings"),
        ("seed = true", "seed: needs another kind of value than true or false"),
        ("target_pct = true", "target_pct: needs another kind of value"),
    ],
)
def test_what_a_hand_wrote_in_two_ways_or_of_another_kind_is_refused(
    monkeypatch, tmp_path, text, says
):
    (tmp_path / "pool.toml").write_text(text)
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path))
    assert says in refused(monkeypatch)


def test_a_variable_in_two_spellings_is_refused(monkeypatch):
    monkeypatch.setenv("crypto_pool_seed", "8")
    assert "environment: crypto_pool_seed stands there in two" in refused(monkeypatch, seed="7")


def test_a_line_of_an_env_file_that_says_nothing_is_named_and_not_shown(
    monkeypatch, tmp_path, capfd
):
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path))
    (tmp_path / ".env").write_text("# mine\nexport CRYPTO_POOL_SEED=7\nA='s3cret\n\nB s3cret\n")
    said = refused(monkeypatch)
    for line in (3, 5):
        assert f"{tmp_path / '.env'}, line {line}: it is no NAME=value; write it so" in said
    assert "s3cret" not in said
    assert capfd.readouterr() == ("", "")


def test_a_pool_file_that_is_no_file_is_not_passed_over(monkeypatch, tmp_path):
    """Else a pool of the default coins would be built."""
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path))
    (tmp_path / "pool.toml").symlink_to("gone.toml")
    assert "pool.toml is a folder or a link to nothing" in refused(monkeypatch)
    (tmp_path / "pool.toml").unlink()
    (tmp_path / "pool.toml").write_bytes("seed = 9\r\n".encode("utf-8-sig"))
    load_settings.cache_clear()
    assert load_settings().seed == 9


def test_variables_that_are_of_others_are_let_through(monkeypatch):
    """Of the tests, of a shell, and of a Kubernetes service that is named after the pool."""
    for name, value in {
        "CRYPTO_POOL_TEST_BROWSER": "chromium",
        "_CRYPTO_POOL_COMPLETE": "bash_source",
        "CRYPTO_POOL_COMPLETE": "bash_source",
        "CRYPTO_POOL_SERVICE_HOST": "10.0.0.1",
        "CRYPTO_POOL_SERVICE_PORT_GRPC": "3030",
        "CRYPTO_POOL_PORT": "tcp://10.0.0.1:3030",
        "CRYPTO_POOL_DAGSTER_WEBSERVER_PORT_80_TCP_ADDR": "10.0.0.2",
    }.items():
        monkeypatch.setenv(name, value)
    assert load_settings().symbols == DEFAULT_SYMBOLS
    assert "CRYPTO_POOL_SERVIN_PORT" in refused(monkeypatch, servin_port="8000")
