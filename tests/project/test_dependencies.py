"""Every package the project names is pinned to one version, and that one is what the tests run with."""

import re
from importlib.metadata import distribution, version

import pytest

from tests.support.server import ROOT

PIN = re.compile(r"([a-z0-9][a-z0-9-]*)==([0-9]+(?:\.[0-9]+)+)  *# \S.*")
FILES = ("requirements.txt", "requirements-dev.txt")


def lines_of(text: str) -> list[str]:
    return [line for line in text.splitlines() if line and not line.startswith(("#", "-r "))]


def unpinned(text: str) -> list[str]:
    """Lines that are not `name==version  # why`."""
    return [line for line in lines_of(text) if PIN.fullmatch(line) is None]


def pins(text: str) -> dict[str, str]:
    matches = (PIN.fullmatch(line) for line in lines_of(text))
    return {match[1]: match[2] for match in matches if match is not None}


@pytest.mark.parametrize("name", FILES)
def test_each_line_names_one_version_and_says_why(name: str) -> None:
    text = (ROOT / name).read_text()
    assert unpinned(text) == []
    assert len(pins(text)) == len(lines_of(text)) > 0, "no package twice"


@pytest.mark.parametrize("name", FILES)
def test_what_is_installed_is_what_is_pinned(name: str) -> None:
    expected = pins((ROOT / name).read_text())
    assert {package: version(package) for package in expected} == expected


def test_no_package_comes_from_anywhere_but_the_index() -> None:
    """A package from a repository or a file has a direct_url.json; nobody audits those."""
    for name in FILES:
        for package in pins((ROOT / name).read_text()):
            assert distribution(package).read_text("direct_url.json") is None


@pytest.mark.parametrize(
    "line",
    [
        "flask>=3.1.3  # web",
        "flask  # web",
        "flask==3.*  # web",
        "flask==3.1.3",
        "flask==3.1.3,<4  # web",
        "flask @ https://example.org/flask.whl  # web",
        "git+https://example.org/flask  # web",
        "--extra-index-url https://example.org  # web",
        "-e .  # web",
    ],
)
def test_a_line_that_does_not_pin_is_found(line: str) -> None:
    assert unpinned(line) == [line]
