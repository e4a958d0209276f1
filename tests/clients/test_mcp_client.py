"""The official SDK of the Model Context Protocol uses a running server: with a handshake, and without."""

import ast
import json
import re
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from stockapi.api.mcp.tools import TOOLS
from tests.support import api_market
from tests.support.server import ROOT, Server, running_server
from tests.support.stores import environment

pytestmark = pytest.mark.long

CLIENT = Path(__file__).with_name("mcp_client.py")
REQUIREMENTS = Path(__file__).with_name("requirements.txt")


@pytest.fixture(scope="module")
def python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The interpreter of an environment with the SDK. It brings 28 packages, and the project needs none of them."""
    directory = tmp_path_factory.mktemp("sdk")
    python = directory / "bin" / "python"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", directory], check=True, timeout=60)
    options = ("--quiet", "--disable-pip-version-check", "--no-input")
    install = [sys.executable, "-m", "pip", "--python", python, "install", *options, "-r", REQUIREMENTS]
    outcome = subprocess.run(install, capture_output=True, text=True, timeout=300, check=False)
    if outcome.returncode:
        lines = outcome.stderr.strip().splitlines() or ["pip says nothing"]
        pytest.fail(f"the SDK cannot be installed, is the package index reachable? {lines[-1]}", pytrace=False)
    return python


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    directory = tmp_path_factory.mktemp("market")
    api_market.fill(directory)
    with running_server(directory, environment(directory, WEB_CONCURRENCY="1")) as running:
        yield running


# One test, because each process of tests would install the SDK for itself.
@pytest.mark.timeout(420)
def test_the_sdk_lists_and_calls_every_tool_and_the_page_says_how(python: Path, server: Server) -> None:
    for mode, version in (("auto", "2026-07-28"), ("2026-07-28", "2026-07-28"), ("legacy", "2025-11-25")):
        found = json.loads(output_of([python, CLIENT, f"{server.url}/mcp", mode]))
        assert found["version"] == version
        assert_complete(found)
    (lines,) = re.findall(r"```python\n(.*?)```", (ROOT / "docs" / "mcp.md").read_text(encoding="utf-8"), re.DOTALL)
    printed = output_of([python, "-c", lines.replace("http://127.0.0.1:3000", server.url)])
    assert [bar["symbol"] for bar in ast.literal_eval(printed)["VCB"]] == ["VCB", "VCB"]
    assert "Traceback" not in server.log


def output_of(command: Sequence[str | Path]) -> str:
    outcome = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert outcome.returncode == 0, outcome.stderr
    return outcome.stdout


def assert_complete(found: dict[str, Any]) -> None:
    """`found`: what `mcp_client` prints."""
    assert found["tools"] == [[tool.name, True, True] for tool in TOOLS]
    assert {name for name, *_ in found["answers"]} == {tool.name for tool in TOOLS}
    for _, is_error, text, structured in found["answers"]:
        assert (structured is None) is is_error
        assert is_error or json.loads(text) == structured
    assert [name for name, is_error, *_ in found["answers"] if is_error] == ["get_bars", "get_bars", "volume_profile"]
    assert found["refused"][0] == -32602
