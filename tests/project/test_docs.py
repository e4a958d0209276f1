"""The documents name every setting, route and command that exists, and every link in them leads somewhere."""

import re
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from flask import Flask

from stockapi import create_app
from stockapi.config import Settings, settings_help
from tests.support.server import ROOT

FENCE = re.compile(r"^ *(```|~~~).*?^ *\1", re.MULTILINE | re.DOTALL)
SETTING_ROW = re.compile(r"^\| *`([A-Z][A-Z0-9_]*)` *\|([^|]*)\|", re.MULTILINE)
EMPTY = "(empty)"
MAKE_COMMAND = re.compile(r"(?:`|^ {4,}|^\$ )make ([a-z-]+)", re.MULTILINE)
LINK = re.compile(r"\]\(<?([^()<>\s]+)>?(?: \"[^\"]*\")?\)")
HEADING = re.compile(r"^#+ +(.+?) *$", re.MULTILINE)
# Folders that exist on the author's machine only.
MACHINE_PATH = re.compile(r"/(?:home|root|work|Users)/")


def documents(root: Path) -> dict[Path, str]:
    """README and everything in docs/, by file."""
    files = [root / "README.md", *sorted((root / "docs").rglob("*.md"))]
    return {file: file.read_text(encoding="utf-8") for file in files}


def mentions(text: str, term: str) -> bool:
    """Whether `term` stands in the text by itself: `/tickers` is not mentioned by `/tickers/group`."""
    return re.search(rf"(?<![\w/.-]){re.escape(term)}(?![\w/<-])", text) is not None


def setting_rows(text: str) -> dict[str, str]:
    """The defaults in the rows ``| `VARIABLE` | `default` | ...`` of a table, by variable."""
    cells = {variable: cell.strip() for variable, cell in SETTING_ROW.findall(text)}
    return {variable: "" if cell == EMPTY else cell.strip("`") for variable, cell in cells.items()}


def commands_of(group: click.Group, path: tuple[str, ...] = ("flask",)) -> Iterator[str]:
    """Every command as one types it: `flask data pull`."""
    for name, command in group.commands.items():
        if isinstance(command, click.Group):
            yield from commands_of(command, (*path, name))
        else:
            yield " ".join((*path, name))


def anchors(text: str) -> set[str]:
    """What `#...` may follow a link to the document: its headings as the usual hosts turn them into identifiers."""
    headings = HEADING.findall(FENCE.sub("", text))
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def broken_links(root: Path) -> list[str]:
    problems = []
    for file, text in documents(root).items():
        for target in LINK.findall(FENCE.sub("", text)):
            if re.match(r"[a-z][a-z0-9+.-]*:", target):
                continue
            path, _, anchor = target.partition("#")
            place = (file.parent / path).resolve() if path else file
            if not place.is_relative_to(root) or not place.exists():
                problems.append(f"{file.relative_to(root)}: {target} leads nowhere")
            elif anchor and (place.suffix != ".md" or anchor not in anchors(place.read_text(encoding="utf-8"))):
                problems.append(f"{file.relative_to(root)}: {target} names no heading")
    return problems


def project_files(root: Path) -> Iterator[Path]:
    """The project's own text files: its known folders and the files at the top, but nothing that runs leave behind."""
    yield from (file for file in root.iterdir() if file.is_file() and not file.name.startswith(".") and is_text(file))
    for folder in (".ci", "docs", "migrations", "stockapi", "tests", "workers"):
        for file in (root / folder).rglob("*"):
            if file.is_file() and "__pycache__" not in file.parts and is_text(file):
                yield file


def is_text(file: Path) -> bool:
    with file.open("rb") as opened:
        return b"\0" not in opened.read(8192)


def machine_paths(root: Path) -> list[str]:
    return [
        f"{file.relative_to(root)} line {number}: {line.strip()}"
        for file in project_files(root)
        for number, line in enumerate(file.read_text(encoding="utf-8", errors="replace").splitlines(), start=1)
        if MACHINE_PATH.search(line)
    ]


# The project


@pytest.fixture(scope="module")
def text() -> str:
    return "\n".join(documents(ROOT).values())


@pytest.fixture
def app(tmp_path: Path) -> Flask:
    places = ("VN_DATABASE_PATH", "CRYPTO_DATABASE_PATH", "MARKET_DATA_DIR", "CRYPTO_DATA_DIR")
    return create_app(Settings.from_mapping({place: str(tmp_path / place.lower()) for place in places}))


def test_the_settings_table_has_every_setting_with_the_default_of_the_code(text: str) -> None:
    rows = setting_rows(text)
    needed = [
        (line.variable, f"`{line.default}`" if line.default else EMPTY, line.allowed, line.description)
        for line in settings_help()
        if rows.get(line.variable) != line.default
    ]
    wrong = ["| `{}` | {} | {} | {} |".format(*cells) for cells in needed]
    assert not wrong, "the table of settings needs these rows:\n" + "\n".join(wrong)


def test_the_settings_table_has_no_setting_that_is_gone(text: str) -> None:
    assert set(setting_rows(text)) <= {line.variable for line in settings_help()}


def test_every_route_is_documented(app: Flask, text: str) -> None:
    routes = {rule.rule for rule in app.url_map.iter_rules() if rule.endpoint != "static"}
    assert "/tickers" in routes
    assert [route for route in sorted(routes) if not mentions(text, route)] == []


def test_every_command_is_documented(app: Flask, text: str) -> None:
    commands = list(commands_of(app.cli))
    assert "flask db upgrade" in commands
    assert [command for command in sorted(commands) if not mentions(text, command)] == []


def test_every_target_of_make_that_is_mentioned_exists(text: str) -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    mentioned = set(MAKE_COMMAND.findall(text))
    assert {"run", "test"} <= mentioned
    assert mentioned <= targets


def test_every_link_leads_somewhere() -> None:
    assert broken_links(ROOT) == []


def test_no_file_names_a_folder_of_somebodys_machine() -> None:
    assert machine_paths(ROOT) == []


# The checks themselves


@pytest.mark.parametrize(
    ("text", "term", "expected"),
    [
        ("`GET /tickers`", "/tickers", True),
        ("/tickers?symbol=VCB", "/tickers", True),
        ("see /tickers.", "/tickers", True),
        ("`GET /tickers/group`", "/tickers", False),
        ("http://localhost/tickers", "/tickers", False),
        ("flask data pull --full", "flask data pull", True),
        ("flask data pull-all", "flask data pull", False),
        ("flask data", "flask data pull", False),
        ("/bars/<symbol>", "/bars", False),
        ("/bars/<symbol>", "/bars/<symbol>", True),
    ],
)
def test_a_mention_is_the_whole_term(text: str, term: str, expected: bool) -> None:
    assert mentions(text, term) is expected


def test_rows_of_the_settings_table_are_read() -> None:
    text = (
        "| variable | default | allowed |\n|---|---|---|\n"
        "| `PORT` | `3000` | a whole number |\n|`CORS_ORIGINS`|(empty)|origins|\n| `HOST` | 127.0.0.1 | x |\n"
        "| a `PORT` in a sentence | `1` |\nPORT | 2 |\n"
    )
    assert setting_rows(text) == {"PORT": "3000", "CORS_ORIGINS": "", "HOST": "127.0.0.1"}


def test_commands_are_found_in_groups_of_groups() -> None:
    leaf = click.Command("leaf")
    tree = click.Group("root", {"a": leaf, "b": click.Group("b", {"c": leaf, "d": click.Group("d", {"e": leaf})})})
    assert list(commands_of(tree)) == ["flask a", "flask b c", "flask b d e"]


@pytest.fixture
def project(tmp_path: Path) -> Path:
    for folder in ("docs", "stockapi", "stockapi/__pycache__", ".venv", "market_data"):
        (tmp_path / folder).mkdir()
    (tmp_path / "docs" / "guide.md").write_text("# First, the *start*\n\n```\n# no heading\n[x](no-link)\n```\n")
    return tmp_path


@pytest.mark.parametrize(
    ("link", "is_fine"),
    [
        ("docs/guide.md", True),
        ("docs", True),
        ("docs/guide.md#first-the-start", True),
        ("#top-of-readme", True),
        ("https://example.org/missing", True),
        ("mailto:someone@example.org", True),
        ("docs/missing.md", False),
        ("guide.md", False),
        ("docs/guide.md#no-heading", False),
        ("docs#first-the-start", False),
        ("#elsewhere", False),
        ("../outside.md", False),
        ("/docs/guide.md", False),
    ],
)
def test_a_link_that_leads_nowhere_is_found(link: str, is_fine: bool, project: Path) -> None:
    (project.parent / "outside.md").touch()
    (project / "README.md").write_text(f'# Top of README\n[here]({link}) and [there]({link} "title")\n')
    assert (broken_links(project) == []) is is_fine


@pytest.mark.parametrize(
    ("file", "is_checked"),
    [
        ("README.md", True),
        ("Makefile", True),
        ("docs/guide.md", True),
        ("stockapi/config.py", True),
        (".env", False),
        (".venv/pyvenv.cfg", False),
        ("stockapi/__pycache__/config.pyc", False),
        ("market_data/list.csv", False),
    ],
)
@pytest.mark.parametrize("folder", ["home", "root", "work"])
def test_a_folder_of_somebodys_machine_is_found(file: str, is_checked: bool, folder: str, project: Path) -> None:
    (project / file).write_text(f"fine: docs/{folder}.md\nfirst\nwrong: /{folder}/me/x\n")
    expected = [f"{file} line 3: wrong: /{folder}/me/x"] if is_checked else []
    assert machine_paths(project) == expected
