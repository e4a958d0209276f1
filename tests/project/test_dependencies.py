"""Every package is pinned to one version, those that others need as well, and that one is what the tests run with."""

import re
import sys
from importlib.metadata import distribution, requires, version

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.support.server import ROOT

PIN = re.compile(r"([a-z0-9][a-z0-9-]*)==([0-9]+(?:\.[0-9]+)+)  *# \S.*")
PYTHON = (3, 11)
"""The one of continuous integration and of the Dockerfile."""
FILES = ("requirements.txt", "requirements-parquet.txt", "requirements-dev.txt")


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


# What those need in turn


def needed_by(names: set[str]) -> set[str]:
    """These packages and all that they need here, whatever needs it. (Markers may name another system or Python.)"""
    needed: set[str] = set()
    todo = [(name, frozenset({""})) for name in names]
    seen = set()
    while todo:
        name, extras = todo.pop()
        if (name, extras) in seen:
            continue
        seen.add((name, extras))
        needed.add(name)
        todo += [
            (canonicalize_name(each.name), frozenset({"", *each.extras}))
            for each in map(Requirement, requires(name) or ())
            if each.marker is None or any(each.marker.evaluate({"extra": extra}) for extra in extras)
        ]
    return needed


def test_what_the_packages_need_is_pinned_and_nothing_else() -> None:
    named = {name for file in FILES for name in pins((ROOT / file).read_text())}
    expected = sorted(f"{name}=={version(name)}" for name in needed_by(named) - named)
    lines = [line for line in (ROOT / "constraints.txt").read_text().splitlines() if not line.startswith("#")]
    if sys.version_info[:2] != PYTHON:  # another one may need less
        lines = [line for line in lines if line in expected]
    assert lines == expected, "constraints.txt needs these lines:\n" + "\n".join(expected)


def test_the_installations_use_the_constraints() -> None:
    for name in ("Makefile", "Dockerfile"):
        installed = re.findall(r"(?:-r |--requirement /build/)requirements(?:-dev)?\.txt.*", (ROOT / name).read_text())
        assert installed
        assert [line for line in installed if "constraints.txt" not in line] == [], name


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
