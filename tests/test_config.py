"""Settings: each default, what each takes and refuses, and `.env` beneath the real environment."""

import dataclasses
import os
from pathlib import Path
from typing import Any

import pytest

from stockapi.config import Settings, settings_help
from stockapi.errors import ConfigError
from stockapi.markets import VN
from stockapi.models import Mode

HERE = Path.cwd()

# variable, default as one would write it, the value it stands for
DEFAULTS: list[tuple[str, str, Any]] = [
    ("FALLBACK_TO_CSV", "true", True),
    ("SQLITE_READS", "true", True),
    ("SQLITE_WRITES", "true", True),
    ("MARKETS", "vn,crypto", (Mode.VN, Mode.CRYPTO)),
    ("VN_DATABASE_PATH", "vn_data.db", HERE / "vn_data.db"),
    ("CRYPTO_DATABASE_PATH", "crypto_data.db", HERE / "crypto_data.db"),
    ("MARKET_DATA_DIR", "market_data", HERE / "market_data"),
    ("CRYPTO_DATA_DIR", "crypto_data", HERE / "crypto_data"),
    ("SQLITE_BATCH_SIZE", "1000", 1000),
    ("SQLITE_SYNCHRONOUS", "NORMAL", "NORMAL"),
    ("SQLITE_CACHE_SIZE", "-64000", -64_000),
    ("SQLITE_TEMP_STORE", "MEMORY", "MEMORY"),
    ("SQLITE_MMAP_SIZE", "268435456", 268_435_456),
    ("SQLITE_BUSY_TIMEOUT_MS", "5000", 5000),
    ("SQLITE_READER_CACHE_SIZE", "-8000", -8000),
    ("SQLITE_READER_BUSY_TIMEOUT_MS", "250", 250),
    ("QUERY_DEADLINE_MS", "10000", 10_000),
    ("MAX_RESPONSE_ROWS", "1000000", 1_000_000),
    ("MAX_HEAVY_QUERIES", "1", 1),
    ("HEAVY_QUERY_ROWS", "50000", 50_000),
    ("DATA_PROVIDER", "live", "live"),
    ("SIMULATED_SEED", "1", 1),
    ("CRYPTO_PROVIDER", "binance", "binance"),
    ("VN_PROVIDERS", "vci", ("vci",)),
    ("SOURCE_RETURN_AFTER_S", "1800", 1800),
    ("VCI_BASE_URL", "https://trading.vietcap.com.vn/api", "https://trading.vietcap.com.vn/api"),
    ("VCI_REQUESTS_PER_MINUTE", "60", 60),
    ("VPS_BASE_URL", "https://histdatafeed.vps.com.vn", "https://histdatafeed.vps.com.vn"),
    ("VPS_REQUESTS_PER_MINUTE", "60", 60),
    ("VNDIRECT_BASE_URL", "https://dchart-api.vndirect.com.vn", "https://dchart-api.vndirect.com.vn"),
    ("VNDIRECT_REQUESTS_PER_MINUTE", "60", 60),
    ("DNSE_BASE_URL", "https://services.entrade.com.vn", "https://services.entrade.com.vn"),
    ("DNSE_REQUESTS_PER_MINUTE", "60", 60),
    ("BINANCE_BASE_URL", "https://data-api.binance.vision", "https://data-api.binance.vision"),
    ("BINANCE_REQUESTS_PER_MINUTE", "1200", 1200),
    ("CRYPTOCOMPARE_BASE_URL", "https://min-api.cryptocompare.com", "https://min-api.cryptocompare.com"),
    ("CRYPTOCOMPARE_API_KEY", "", ""),
    ("CRYPTOCOMPARE_REQUESTS_PER_MINUTE", "120", 120),
    ("PROVIDER_CONNECT_TIMEOUT_MS", "3000", 3000),
    ("PROVIDER_READ_TIMEOUT_MS", "6000", 6000),
    ("PROVIDER_RETRIES", "3", 3),
    ("PROVIDER_PROXY", "", ""),
    ("CA_BUNDLE", "", None),
    ("INDEX_TICKERS", ",".join(VN.indices), VN.indices),
    ("EXTRA_HOLIDAYS", "", ()),
    ("EXTRA_SESSIONS", "", ()),
    ("TICKER_GROUPS_FILE", "", None),
    ("CRYPTO_LIST_FILE", "", None),
    ("HOST", "0.0.0.0", "0.0.0.0"),
    ("PORT", "3000", 3000),
    ("SCRIPT_NAME", "", ""),
    ("TRUST_FORWARDED_PREFIX", "false", False),
    ("API_KEYS_FILE", "", None),
    ("OPERATOR_KEYS_FILE", "", None),
    ("RATE_LIMIT_PER_MINUTE", "0", 0),
    ("TRUSTED_PROXIES", "0", 0),
    ("WEB_CONCURRENCY", "2", 2),
    ("GUNICORN_THREADS", "4", 4),
    ("LOG_LEVEL", "info", "info"),
    ("CORS_ORIGINS", "", ()),
]

BOOLEANS = ("FALLBACK_TO_CSV", "SQLITE_READS", "SQLITE_WRITES")
PATHS = ("VN_DATABASE_PATH", "CRYPTO_DATABASE_PATH", "MARKET_DATA_DIR", "CRYPTO_DATA_DIR")

BASE_URLS = tuple(f"{source}_BASE_URL" for source in ("VCI", "VPS", "VNDIRECT", "DNSE", "BINANCE", "CRYPTOCOMPARE"))

# variable, lowest, highest
RANGES = [
    ("SQLITE_BATCH_SIZE", 1, 100_000),
    ("SQLITE_CACHE_SIZE", -4_000_000, 1_000_000),
    ("SQLITE_MMAP_SIZE", 0, 1 << 40),
    ("SQLITE_BUSY_TIMEOUT_MS", 0, 600_000),
    ("SQLITE_READER_CACHE_SIZE", -4_000_000, 1_000_000),
    ("SQLITE_READER_BUSY_TIMEOUT_MS", 0, 60_000),
    ("QUERY_DEADLINE_MS", 1, 600_000),
    ("MAX_RESPONSE_ROWS", 1, 100_000_000),
    ("MAX_HEAVY_QUERIES", 1, 256),
    ("HEAVY_QUERY_ROWS", 1, 100_000_000),
    ("SIMULATED_SEED", 0, 1 << 32),
    ("SOURCE_RETURN_AFTER_S", 1, 86_400),
    ("VCI_REQUESTS_PER_MINUTE", 1, 100_000),
    ("VPS_REQUESTS_PER_MINUTE", 1, 100_000),
    ("VNDIRECT_REQUESTS_PER_MINUTE", 1, 100_000),
    ("DNSE_REQUESTS_PER_MINUTE", 1, 100_000),
    ("BINANCE_REQUESTS_PER_MINUTE", 1, 100_000),
    ("CRYPTOCOMPARE_REQUESTS_PER_MINUTE", 1, 100_000),
    ("PROVIDER_CONNECT_TIMEOUT_MS", 1, 60_000),
    ("PROVIDER_READ_TIMEOUT_MS", 1, 60_000),
    ("PROVIDER_RETRIES", 0, 10),
    ("PORT", 1, 65_535),
    ("RATE_LIMIT_PER_MINUTE", 0, 1_000_000),
    ("TRUSTED_PROXIES", 0, 10),
    ("WEB_CONCURRENCY", 1, 256),
    ("GUNICORN_THREADS", 1, 256),
]

CHOICES = [
    ("SQLITE_SYNCHRONOUS", ("NORMAL", "FULL")),
    ("SQLITE_TEMP_STORE", ("MEMORY", "FILE", "DEFAULT")),
    ("DATA_PROVIDER", ("live", "simulated")),
    ("CRYPTO_PROVIDER", ("binance", "cryptocompare")),
    ("LOG_LEVEL", ("debug", "info", "warning", "error")),
]


@pytest.fixture(autouse=True)
def _no_certificates_of_the_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("REQUESTS_CA_BUNDLE", "SSL_CERT_FILE"):
        monkeypatch.delenv(name, raising=False)


def value_of(variable: str, text: str) -> Any:
    return getattr(Settings.from_mapping({variable: text}), variable.lower())


def refusal(environ: dict[str, str]) -> str:
    with pytest.raises(ConfigError) as caught:
        Settings.from_mapping(environ)
    return str(caught.value)


# Sources in order of preference


@pytest.mark.parametrize(
    ("text", "sources"),
    [
        ("vci", ("vci",)),
        ("vps", ("vps",)),
        ("vps,vci", ("vps", "vci")),
        (" VCI , vps,VNDirect,dnse ", ("vci", "vps", "vndirect", "dnse")),
    ],
)
def test_sources_are_in_the_order_of_the_text(text: str, sources: tuple[str, ...]) -> None:
    settings = Settings.from_mapping({"VN_PROVIDERS": text})
    assert (settings.sources(Mode.VN), settings.source(Mode.VN)) == (sources, sources[0])
    assert settings.sources(Mode.CRYPTO) == ("binance",)
    assert Settings.from_mapping({"VN_PROVIDERS": text, "DATA_PROVIDER": "simulated"}).sources(Mode.VN) == (
        "simulated",
    )


@pytest.mark.parametrize("text", ["", ",", "vci,", "ssi", "vci,vci", "vci,VCI", "vci vps", "binance"])
def test_other_texts_are_no_sources(text: str) -> None:
    assert refusal({"VN_PROVIDERS": text}) == (
        f"VN_PROVIDERS={text!r} is not allowed; allowed: vci, vps, vndirect, dnse, "
        "or several of them separated by commas, the best first"
    )


# Defaults


@pytest.mark.parametrize(("variable", "text", "value"), DEFAULTS, ids=[row[0] for row in DEFAULTS])
def test_a_setting_that_is_absent_has_its_default(variable: str, text: str, value: Any) -> None:
    assert getattr(Settings.from_mapping({}), variable.lower()) == value


def test_help_lists_every_setting_once_with_its_default() -> None:
    assert [(line.variable, line.default) for line in settings_help()] == [(name, text) for name, text, _ in DEFAULTS]
    assert len({field.name for field in dataclasses.fields(Settings)}) == len(DEFAULTS)


def test_help_says_what_is_allowed_and_what_for() -> None:
    for line in settings_help():
        assert line.allowed, line.variable
        assert line.description, line.variable
        assert "\n" not in line.allowed + line.description


def test_a_default_written_out_means_the_same_as_leaving_it_out() -> None:
    assert Settings.from_mapping({name: text for name, text, _ in DEFAULTS}) == Settings.from_mapping({})


def test_variables_of_other_programs_are_ignored() -> None:
    assert Settings.from_mapping({"PATH": "/bin", "port": "1", "STOCKAPI": "x"}) == Settings.from_mapping({})


def test_settings_cannot_be_changed() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        Settings.from_mapping({}).port = 1  # type: ignore[misc]


# What each takes


@pytest.mark.parametrize("variable", BOOLEANS)
@pytest.mark.parametrize(
    ("text", "value"),
    [("true", True), ("1", True), ("TRUE", True), (" True ", True), ("false", False), ("0", False), ("False", False)],
)
def test_booleans(variable: str, text: str, value: bool) -> None:
    assert value_of(variable, text) is value


@pytest.mark.parametrize(("variable", "low", "high"), RANGES)
def test_whole_numbers_take_both_ends_of_their_range(variable: str, low: int, high: int) -> None:
    assert value_of(variable, str(low)) == low
    assert value_of(variable, f" {high}\n") == high


@pytest.mark.parametrize(("variable", "names"), CHOICES)
def test_choices_are_taken_in_any_case_and_spelled_as_listed(variable: str, names: tuple[str, ...]) -> None:
    for name in names:
        assert value_of(variable, name) == name
        assert value_of(variable, name.swapcase()) == name


@pytest.mark.parametrize("variable", PATHS)
def test_paths_are_absolute_from_the_start(variable: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert value_of(variable, "over/there") == tmp_path / "over" / "there"
    assert value_of(variable, str(tmp_path / "x y")) == tmp_path / "x y"


@pytest.mark.parametrize("variable", ["VN_DATABASE_PATH", "CRYPTO_DATABASE_PATH"])
def test_a_link_to_a_database_is_followed_unless_it_leads_to_itself(variable: str, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("bars.db")
    (tmp_path / "loop").symlink_to("loop")
    assert value_of(variable, str(tmp_path / "link")) == tmp_path / "bars.db"
    assert value_of(variable, str(tmp_path / "loop")) == tmp_path / "loop"


@pytest.mark.parametrize("variable", ["TICKER_GROUPS_FILE", "CRYPTO_LIST_FILE"])
def test_list_files_must_exist(variable: str, tmp_path: Path) -> None:
    file = tmp_path / "list.json"
    file.write_text("{}")
    assert value_of(variable, str(file)) == file
    assert value_of(variable, "") is None


@pytest.mark.parametrize(
    ("variable", "text", "value"),
    [
        ("MARKETS", "vn", (Mode.VN,)),
        ("MARKETS", "Crypto", (Mode.CRYPTO,)),
        ("MARKETS", " crypto , VN ", (Mode.VN, Mode.CRYPTO)),  # in their own order, so that the default is the same
        ("MARKETS", "vn,vn", (Mode.VN,)),
        ("INDEX_TICKERS", "VNINDEX", ("VNINDEX",)),
        ("INDEX_TICKERS", " VNINDEX , HNX-INDEX,, ", ("VNINDEX", "HNX-INDEX")),
        ("INDEX_TICKERS", "VNINDEX,VN30F*", ("VNINDEX", "VN30F*")),
        ("INDEX_TICKERS", "", ()),
        ("CORS_ORIGINS", "*", ("*",)),
        (
            "CORS_ORIGINS",
            "https://example.org, http://localhost:3000",
            ("https://example.org", "http://localhost:3000"),
        ),
        ("HOST", "127.0.0.1", "127.0.0.1"),
        ("HOST", "localhost", "localhost"),
        ("HOST", "::1", "::1"),
        ("HOST", "my_host.example-1.org", "my_host.example-1.org"),
    ],
)
def test_lists_and_addresses(variable: str, text: str, value: Any) -> None:
    assert value_of(variable, text) == value


@pytest.mark.parametrize("variable", BASE_URLS)
@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("https://example.org", "https://example.org"),
        ("https://example.org/", "https://example.org"),
        ("http://127.0.0.1:8900/vci", "http://127.0.0.1:8900/vci"),
        (" https://example.org/a/b-c.d/ ", "https://example.org/a/b-c.d"),
    ],
)
def test_addresses_of_sources_lose_the_slash_at_their_end(variable: str, text: str, value: str) -> None:
    assert value_of(variable, text) == value


@pytest.mark.parametrize("text", ["http://proxy.example.org:3128", "http://127.0.0.1:65535", ""])
def test_a_proxy_is_an_address_without_a_path(text: str) -> None:
    assert value_of("PROVIDER_PROXY", text) == text


def test_the_first_of_the_markets_is_meant_where_none_is_named() -> None:
    assert Settings.from_mapping({}).default_market is Mode.VN
    assert Settings.from_mapping({"MARKETS": "crypto"}).default_market is Mode.CRYPTO


def test_the_market_decides_database_and_tree() -> None:
    settings = Settings.from_mapping({})
    assert settings.database_path(Mode.VN) == settings.vn_database_path
    assert settings.database_path(Mode.CRYPTO) == settings.crypto_database_path
    assert settings.data_dir(Mode.VN) == settings.market_data_dir
    assert settings.data_dir(Mode.CRYPTO) == settings.crypto_data_dir


# What each refuses

NOT_WHOLE = ["", "x", "1.5", "1e3", "1_000", "+1", "--1", "0x10", "１２", "1" * 40, "nan", "\0"]

BAD = [
    *[(name, text) for name in BOOLEANS for text in ("", "yes", "on", "2", "-1", "tru", "true false", "ｔｒｕｅ")],
    *[(name, text) for name, _, _ in RANGES for text in NOT_WHOLE],
    *[(name, str(low - 1)) for name, low, _ in RANGES],
    *[(name, str(high + 1)) for name, _, high in RANGES],
    *[(name, text) for name, _ in CHOICES for text in ("", "none", "OFF", "normal full")],
    *[(name, text) for name in PATHS for text in ("", "   ", "a\0b")],
    *[
        (name, text)
        for name in ("TICKER_GROUPS_FILE", "CRYPTO_LIST_FILE")
        for text in ("no-such-file.json", ".", "a\0b", "n" * 300)  # a folder; a name longer than file systems take
    ],
    *[("MARKETS", text) for text in ("", ",", "vn,", "stocks", "nyse", "vn crypto", "vn;crypto", "all", "ｖｎ")],
    *[
        ("INDEX_TICKERS", text)
        for text in ("vnindex", "VNINDEX VN30", "../etc", "A" * 21, "VNINDEX,VN\n30", "ＶＮ３０", "*", "VN*30", "VN**")
    ],
    *[
        ("CORS_ORIGINS", text)
        for text in (
            "example.org",
            "https://",
            "https://example.org/",
            "ftp://example.org",
            "https://a b",
            "http://a:b",
        )
    ],
    *[
        (name, text)
        for name in (*BASE_URLS, "PROVIDER_PROXY")
        for text in (
            "example.org",
            "ftp://example.org",
            "https://",
            "https://example.org:0",
            "https://example.org:65536",
            "https://example.org:x",
            "https://example.org/?a=b",
            "https://example.org/#a",
            "https://exämple.org",
            "https://example.org/a b",
            "https://example.org/a\nb",
        )
    ],
    *[(name, "") for name in BASE_URLS],
    ("PROVIDER_PROXY", "http://proxy.example.org:3128/path"),
    *[("HOST", text) for text in ("", "a b", "http://localhost", "[::1]", "a\nb", "x" * 256, "é")],
]


@pytest.mark.parametrize(("variable", "text"), BAD)
def test_a_bad_value_is_refused_in_one_line_that_names_variable_value_and_what_is_allowed(
    variable: str, text: str
) -> None:
    message = refusal({variable: text})
    allowed = next(line.allowed for line in settings_help() if line.variable == variable)
    assert message == f"{variable}={text.strip()!r} is not allowed; allowed: {allowed}"
    assert message.isprintable()


@pytest.mark.parametrize(
    ("variable", "text", "allowed"),
    [
        ("FALLBACK_TO_CSV", "maybe", "true, false, 1, 0"),
        ("PORT", "70000", "a whole number from 1 to 65535"),
        ("DATA_PROVIDER", "yahoo", "live, simulated"),
        ("INDEX_TICKERS", "vn30", "upper-case symbols, or their beginnings with * behind, separated by commas"),
        (
            "CORS_ORIGINS",
            "x",
            "* or origins like https://example.org, https://*.example.org, http://localhost:*, separated by commas",
        ),
    ],
)
def test_the_line_reads_like_this(variable: str, text: str, allowed: str) -> None:
    assert refusal({variable: text}) == f"{variable}={text!r} is not allowed; allowed: {allowed}"


@pytest.mark.parametrize(
    ("first", "second"), [("VN_DATABASE_PATH", "CRYPTO_DATABASE_PATH"), ("MARKET_DATA_DIR", "CRYPTO_DATA_DIR")]
)
def test_the_two_markets_may_not_share_a_file_or_tree(first: str, second: str, tmp_path: Path) -> None:
    place = tmp_path / "place"
    roundabout = tmp_path / "folder" / ".." / "place"
    message = refusal({first: str(place), second: str(roundabout)})
    assert message == f"{second}={str(roundabout)!r} is not allowed; allowed: any path but that of {first}"


@pytest.mark.parametrize(
    ("ticker", "is_index"),
    [
        *((ticker, True) for ticker in ("VNINDEX", "VN30", "HNXINDEX", "UPCOMINDEX", "HNX30", "VN100", "VNALLSHARE")),
        *((ticker, True) for ticker in ("VNMIDCAP", "VNSMALLCAP", "VNXALLSHARE", "VNDIAMOND", "VNFINLEAD", "VNFIN")),
        *((ticker, True) for ticker in ("VNIT", "VNREAL", "VN30F1M", "VN30F2Q", "VN30F2609", "VN100F1M")),
        *(
            (ticker, False)
            for ticker in ("VNM", "VND", "VNI", "VND122013", "FUEVN100", "E1VFVN30", "CVNM2401", "VN30X")
        ),
    ],
)
def test_the_indices_of_the_exchanges_and_their_futures_are_known_by_default(ticker: str, is_index: bool) -> None:
    settings = Settings.from_mapping({})
    assert (settings.is_index(ticker, Mode.VN), settings.is_index(ticker, Mode.CRYPTO)) == (is_index, False)


# The secret


def test_a_secret_is_read_but_not_shown() -> None:
    settings = Settings.from_mapping({"CRYPTOCOMPARE_API_KEY": " 0123-abc! "})
    assert settings.cryptocompare_api_key == "0123-abc!"
    assert "0123-abc" not in repr(settings)


@pytest.mark.parametrize("text", ["two words", "line\nbreak", "schlüssel", "k" * 201])
def test_a_secret_that_is_refused_is_not_shown_either(text: str) -> None:
    assert refusal({"CRYPTOCOMPARE_API_KEY": text}) == (
        "CRYPTOCOMPARE_API_KEY='***' is not allowed; allowed: nothing, or 1 to 200 printable characters without blanks"
    )


# The environment and .env


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working directory, and an environment without any setting."""
    for line in settings_help():
        monkeypatch.delenv(line.variable, raising=False)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_without_a_file_the_environment_alone_counts(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PORT", "4000")
    assert Settings.load() == Settings.from_mapping({"PORT": "4000"})


@pytest.mark.parametrize(
    "text",
    [
        "PORT=4000\nLOG_LEVEL=debug\n",
        "# a comment\n\nexport PORT='4000'\nLOG_LEVEL=\"debug\"  # and another",
        "\ufeffPORT=4000\r\nLOG_LEVEL = debug\r\n",
    ],
    ids=["plain", "shell", "windows"],
)
def test_the_file_is_read(folder: Path, text: str) -> None:
    (folder / ".env").write_bytes(text.encode())
    assert Settings.load() == Settings.from_mapping({"PORT": "4000", "LOG_LEVEL": "debug"})


def test_the_environment_wins_over_the_file(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / ".env").write_text("PORT=4000\nLOG_LEVEL=debug\n")
    monkeypatch.setenv("PORT", "5000")
    settings = Settings.load()
    assert (settings.port, settings.log_level) == (5000, "debug")


def test_reading_the_file_leaves_the_environment_as_it_was(folder: Path) -> None:
    (folder / ".env").write_text("PORT=4000\n")
    before = dict(os.environ)
    Settings.load()
    assert dict(os.environ) == before


def test_a_name_without_a_value_counts_as_absent(folder: Path) -> None:
    (folder / ".env").write_text("PORT\n")
    assert Settings.load() == Settings.from_mapping({})


def test_a_bad_value_in_the_file_is_refused_like_any_other(folder: Path) -> None:
    (folder / ".env").write_text("PORT=all\n")
    with pytest.raises(ConfigError, match=r"^PORT='all' is not allowed; allowed: a whole number from 1 to 65535$"):
        Settings.load()


@pytest.mark.parametrize(
    ("text", "line"), [("PORT 4000\n", 1), ("PORT=1\nLOG_LEVEL='debug\n", 2), ("\n# comment\n\n=4000", 4)]
)
def test_a_line_of_the_file_that_is_no_setting_is_refused_not_skipped(folder: Path, text: str, line: int) -> None:
    (folder / ".env").write_text(text)
    with pytest.raises(ConfigError, match=rf"^\.env line {line} is not a setting; allowed: NAME=value"):
        Settings.load()


def test_a_file_that_is_not_text_is_refused_in_one_line(folder: Path) -> None:
    (folder / ".env").write_bytes(b"PORT=30\xff\n")
    with pytest.raises(ConfigError, match=r"^\.env cannot be read: .*UTF-8 text") as caught:
        Settings.load()
    assert str(caught.value).isprintable()


def test_a_folder_in_place_of_the_file_is_refused(folder: Path) -> None:
    (folder / ".env").mkdir()
    with pytest.raises(ConfigError, match=r"^\.env cannot be read: "):
        Settings.load()


# The home directory, passwords, certificates


def test_a_tilde_is_the_home_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "groups.json").write_text("{}")
    settings = Settings.from_mapping({"VN_DATABASE_PATH": "~/vn.db", "TICKER_GROUPS_FILE": "~/groups.json"})
    assert (settings.vn_database_path, settings.ticker_groups_file) == (tmp_path / "vn.db", tmp_path / "groups.json")
    with pytest.raises(
        ConfigError, match=r"^MARKET_DATA_DIR='~nobody-of-this-name/x' is not allowed; allowed: a path$"
    ):
        Settings.from_mapping({"MARKET_DATA_DIR": "~nobody-of-this-name/x"})


@pytest.mark.parametrize(
    "proxy", ["http://me:s3cret@proxy.example.org:3128", "http://me:s3@cret@proxy.example.org:3128/"]
)
def test_a_proxy_may_have_a_password_which_is_never_shown(proxy: str) -> None:
    settings = Settings.from_mapping({"PROVIDER_PROXY": proxy})
    assert settings.provider_proxy == proxy.rstrip("/")
    assert "cret" not in repr(settings)


@pytest.mark.parametrize(
    ("variable", "text", "shown"),
    [
        ("PROVIDER_PROXY", "ftp://me:s3cret@proxy.example.org", "ftp://***@proxy.example.org"),
        ("PROVIDER_PROXY", "me:s3cret@proxy.example.org:3128", "***@proxy.example.org:3128"),
        ("PROVIDER_PROXY", "http://me:s3cret@proxy.example.org:99999", "http://***@proxy.example.org:99999"),
        ("BINANCE_BASE_URL", "https://me:s3cret@example.org", "https://***@example.org"),
        ("VCI_BASE_URL", "https://me:s3cret@example.org/api", "https://***@example.org/api"),
    ],
)
def test_an_address_that_is_refused_is_shown_without_its_password(variable: str, text: str, shown: str) -> None:
    with pytest.raises(ConfigError) as caught:
        Settings.from_mapping({variable: text})
    assert str(caught.value).startswith(f"{variable}={shown!r} is not allowed; allowed: ")
    assert "s3cret" not in str(caught.value)


@pytest.mark.parametrize("name", ["CA_BUNDLE", "REQUESTS_CA_BUNDLE", "SSL_CERT_FILE"])
def test_certificates_are_named_by_a_setting_or_as_elsewhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    bundle = tmp_path / "ca.pem"
    bundle.write_text("")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv(name, str(bundle))
    assert Settings.load().ca_bundle == bundle


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be", "utf-32"])
def test_a_dotenv_in_another_encoding_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, encoding: str
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / ".env").write_bytes("PORT=3000\n".encode(encoding))
    with pytest.raises(ConfigError, match=r"^\.env cannot be read: .*; allowed: UTF-8 text, or no such file$"):
        Settings.load()


@pytest.mark.parametrize("text", ["2026-13-01", "today", "2026-01-02;2026-01-05"])
def test_dates_that_are_none(text: str) -> None:
    with pytest.raises(ConfigError, match=r"EXTRA_HOLIDAYS=.* is not allowed; allowed: nothing, or dates like"):
        Settings.from_mapping({"EXTRA_HOLIDAYS": text})
