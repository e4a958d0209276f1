"""Files of keys: what is a line, what refuses to start, and what counts while the file is changed."""

import hmac
import os
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path

import pytest

from stockapi.api.http.key_files import KeyFile, key_file
from stockapi.errors import ConfigError


def digest(key: str) -> str:
    return sha256(key.encode()).hexdigest()


def file_of(directory: Path, text: str | bytes) -> KeyFile:
    path = directory / "keys"
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return KeyFile("API_KEYS_FILE", path)


def name_of(keys: KeyFile, given: str) -> str | None:
    key = keys.find(given.encode())
    return key and key.name


@pytest.mark.parametrize(
    ("line", "name", "per_minute"),
    [
        (f"anna {digest('k')}", "anna", None),
        (f"anna {digest('k').upper()}", "anna", None),
        (f"  anna \t {digest('k')}  ", "anna", None),
        (f"anna {digest('k')} 0", "anna", 0),
        (f"anna {digest('k')} 1000000", "anna", 1_000_000),
        (f"A.b_c-9 {digest('k')}\t600", "A.b_c-9", 600),
        (f"{'n' * 64} {digest('k')}", "n" * 64, None),
        (f"# anna {digest('x')}\n\n  # b\nanna {digest('k')}\r\n\r\n", "anna", None),
        (f"\ufeffanna {digest('k')}", "anna", None),
    ],
)
def test_a_line_is_a_key(line: str, name: str, per_minute: int | None, tmp_path: Path) -> None:
    key = file_of(tmp_path, line).find(b"k")
    assert key is not None
    assert (key.name, key.per_minute) == (name, per_minute)


@pytest.mark.parametrize("given", ["", "K", "k ", "x", digest("k"), "k" * 8_000])
def test_what_is_no_key_is_none(given: str, tmp_path: Path) -> None:
    assert name_of(file_of(tmp_path, f"anna {digest('k')}\nbob {digest('l')}\n"), given) is None


def test_a_file_of_comments_knows_nobody(tmp_path: Path) -> None:
    assert name_of(file_of(tmp_path, "# nobody\n"), "k") is None


SECRET = "s3cret-key-in-the-wrong-place"
BAD = [
    (b"", "it is empty"),
    (b"\xff\xfe", "it is no text in UTF-8"),
    (f"anna {SECRET}", "line 1 is no key"),
    (f"\n{SECRET}", "line 2 is no key"),
    (f"{SECRET} anna {digest('k')}", "line 1 is no key"),
    (f"{digest('k')} {SECRET}", "line 1 is no key"),
    (f"anna {digest('k')[:-1]}", "line 1 is no key"),
    (f"anna {digest('k')}0", "line 1 is no key"),
    (f"anna {digest('k')[:-1]}g", "line 1 is no key"),
    (f"anna {digest('k')} -1", "line 1 is no key"),
    (f"anna {digest('k')} 1000001", "line 1 is no key"),
    (f"anna {digest('k')} 9999999999999", "line 1 is no key"),
    (f"anna {digest('k')} 6e2", "line 1 is no key"),
    (f"anna {digest('k')} 60 # a friend", "line 1 is no key"),
    (f"an/na {digest('k')}", "line 1 is no key"),
    (f"\u00e1nna {digest('k')}", "line 1 is no key"),
    (f"{'n' * 65} {digest('k')}", "line 1 is no key"),
    (f"anna:{digest('k')}", "line 1 is no key"),
    (f"{digest('k')}  -", "line 1 is no key"),
    (f"anna {digest('k')}\nanna {digest('l')}", "line 2 has a name or a key of an earlier line"),
    (f"anna {digest('k')}\nbob {digest('k').upper()}", "line 2 has a name or a key of an earlier line"),
]


@pytest.mark.parametrize(("text", "reason"), BAD)
def test_another_file_is_refused_without_a_word_of_it(text: str | bytes, reason: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        file_of(tmp_path, text)
    said = str(caught.value)
    assert said.startswith(f"API_KEYS_FILE='{tmp_path}/keys' is not allowed: {reason}; allowed: a line for each key")
    assert SECRET not in said
    assert digest("k") not in said
    assert "\n" not in said


@pytest.mark.parametrize("make", [os.mkfifo, os.mkdir, lambda path: None])
def test_no_file_is_refused_at_once(make: Callable[[Path], None], tmp_path: Path) -> None:
    make(tmp_path / "keys")
    with pytest.raises(ConfigError, match="cannot be read"):
        KeyFile("API_KEYS_FILE", tmp_path / "keys")


def replaced(path: Path, text: str) -> None:
    other = path.with_name("new")
    other.write_text(text)
    other.replace(path)


def rewritten(path: Path, text: str) -> None:
    path.write_text(text)


@pytest.mark.parametrize("write", [replaced, rewritten])
def test_a_change_counts_at_once(write: Callable[[Path, str], None], tmp_path: Path) -> None:
    keys, path = file_of(tmp_path, f"a {digest('a')}\n"), tmp_path / "keys"
    for number in range(50):  # of one size, and faster than the steps of time stamps
        given = chr(ord("a") + number % 2)
        write(path, f"{given} {digest(given)}\n")
        assert [name_of(keys, each) for each in "ab"] == [each if each == given else None for each in "ab"]


def emptied(path: Path) -> None:
    path.write_text("")


def half_written(path: Path) -> None:
    path.write_text(path.read_text()[:-9])


def removed(path: Path) -> None:
    path.unlink()


def a_pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


@pytest.mark.parametrize("spoil", [emptied, half_written, removed, a_pipe])
def test_a_broken_file_changes_nothing_and_is_told_once(
    spoil: Callable[[Path], None], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    keys, path = file_of(tmp_path, f"anna {digest('k')}\nbob {digest('l')}\n"), tmp_path / "keys"
    spoil(path)
    assert [name_of(keys, "k") for _ in range(3)] == ["anna"] * 3
    assert name_of(keys, "x") is None
    (said,) = caplog.messages
    assert said.endswith("; what it held before counts")
    assert digest("k")[:50] not in said
    replaced(path, f"bob {digest('l')}\n")
    assert [name_of(keys, each) for each in "kl"] == [None, "bob"]
    spoil(path)
    name_of(keys, "l")
    assert len(caplog.messages) == 2


def test_every_key_is_compared_in_constant_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    keys = file_of(tmp_path, "".join(f"n{number} {digest(str(number))}\n" for number in range(9)))
    compared = []
    plain = hmac.compare_digest
    monkeypatch.setattr(hmac, "compare_digest", lambda a, b: compared.append(a) or plain(a, b))
    for given in ("0", "8", "none"):
        compared.clear()
        name_of(keys, given)
        assert len(compared) == 9


def test_processes_inherit_what_was_read(tmp_path: Path) -> None:
    file_of(tmp_path, f"anna {digest('k')}\n")
    first = key_file("API_KEYS_FILE", tmp_path / "keys")
    removed(tmp_path / "keys")
    assert key_file("API_KEYS_FILE", tmp_path / "keys") is first
    assert name_of(first, "k") == "anna"
