"""The files for operators name only what exists: settings, paths, metrics, labels, commands, files."""

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from configparser import ConfigParser
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from stockapi import create_app
from stockapi.config import Settings, settings_help
from stockapi.models.interval import Interval
from stockapi.models.mode import Mode
from stockapi.services.database_manager.bookkeeping import Cycle
from tests.support.env_example import PATH as ENV_EXAMPLE
from tests.support.env_example import env_example
from tests.support.server import ROOT
from tests.support.stores import NOW, Stores, environment, make_bars

DEPLOY = ROOT / "docs" / "deploy"
UNITS = sorted(DEPLOY.glob("*.service"))
METRIC_FILES = ("grafana.json", "alerts.yml")
METRIC = re.compile(r"\bstockapi_[a-z0-9_]+\b")
SELECTOR = re.compile(r"(stockapi_[a-z0-9_]+)\{([^}]*)\}")
MATCHER = re.compile(r'([a-z_]+)\s*(=~|!~|!=|=)\s*"([^"]*)"')
GROUPED = re.compile(r"\bby \(([^)]*)\)")
OF_PROMETHEUS = {"le", "job", "instance"}
ENUMERATED = {"mode", "interval", "state", "route"}
CYCLE = Cycle(
    worker="daily",
    due_every_s=60,
    cycle_seconds=1.0,
    rows_written=1,
    source="simulated",
    source_state="ok",
    source_calls=1,
    source_errors=0,
    last_sync=int(NOW.timestamp()),
    last_error=None,
)
NO_SETTINGS = {"PYTHON", "PATH", "PYTHONDONTWRITEBYTECODE", "PYTHONUNBUFFERED", "FLASK_SKIP_DOTENV"}
"""Variables of the image that others read: Docker, the shell, Python, Flask."""


def text_of(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def deploy(name: str) -> str:
    return (DEPLOY / name).read_text(encoding="utf-8")


@cache
def variables() -> frozenset[str]:
    return frozenset(each.variable for each in settings_help())


# Settings


def test_the_example_of_settings_is_that_of_the_table() -> None:
    assert ENV_EXAMPLE.read_text(encoding="utf-8") == env_example(settings_help()), "make env-example writes it anew"


def test_the_example_gives_the_defaults(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    uncommented = re.sub(r"^#(?=[A-Z])", "", ENV_EXAMPLE.read_text(encoding="utf-8"), flags=re.MULTILINE)
    assert uncommented.count("\n") > 2 * len(variables())
    (tmp_path / ".env").write_text(uncommented)
    monkeypatch.chdir(tmp_path)
    for name in (*variables(), "REQUESTS_CA_BUNDLE", "SSL_CERT_FILE"):
        monkeypatch.delenv(name, raising=False)
    assert Settings.load() == Settings.from_mapping({})


# Metrics


@pytest.fixture(scope="module")
def metrics(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, set[str]]]:
    """The values of each label of each sample of /metrics, with bars and a worker stored, after requests."""
    directory = tmp_path_factory.mktemp("market")
    stores = Stores.of(settings := Settings.from_mapping(environment(directory)))
    for mode in Mode:
        for interval in Interval:
            stores.save("VCB", make_bars(5, interval, mode), interval, mode)
        stores.bookkeeping.record_cycle(mode, CYCLE, int(NOW.timestamp()))
    stores.db_manager.close()
    client = create_app(settings).test_client()
    for path in ("/tickers", "/nowhere"):
        client.get(path)
    seen: dict[str, dict[str, set[str]]] = {}
    for family in text_string_to_metric_families(client.get("/metrics").text):
        for sample in family.samples:
            labels = seen.setdefault(sample.name, {})
            for name, value in sample.labels.items():
                labels.setdefault(name, set()).add(value)
    return seen


@pytest.mark.parametrize("name", METRIC_FILES)
def test_every_metric_exists_and_has_the_labels(name: str, metrics: dict[str, dict[str, set[str]]]) -> None:
    text = json.dumps(json.loads(deploy(name))) if name.endswith(".json") else deploy(name)
    text = text.replace('\\"', '"')
    named = {*METRIC.findall(text)}
    assert len(named) > 5
    assert named - {*metrics} == set()
    matchers = [(metric, *each) for metric, inside in SELECTOR.findall(text) for each in MATCHER.findall(inside)]
    assert {"mode", "status", "route"} & {label for _, label, _, _ in matchers}
    for metric, label, operator, value in matchers:
        assert label in {*metrics[metric], *OF_PROMETHEUS}, f"{metric} has no {label}"
        if label in ENUMERATED and operator == "=" and not value.startswith("$"):
            assert value in metrics[metric][label], f"{metric} has no {label}={value}"
    grouped = {label.strip() for inside in GROUPED.findall(text) for label in inside.split(",")}
    assert grouped <= {label for each in metrics.values() for label in each} | OF_PROMETHEUS


def test_the_dashboard_has_no_panel_twice() -> None:
    dashboard = json.loads(deploy("grafana.json"))
    panels = dashboard["panels"]
    assert len({each["id"] for each in panels}) == len({each["title"] for each in panels}) == len(panels)
    places = [(each["gridPos"]["x"], each["gridPos"]["y"]) for each in panels]
    assert len({*places}) == len(places)
    assert all(each["gridPos"]["x"] + each["gridPos"]["w"] <= 24 for each in panels)


def test_each_alert_says_what_and_how_bad() -> None:
    rules = [rule for group in yaml.safe_load(deploy("alerts.yml"))["groups"] for rule in group["rules"]]
    assert len({rule["alert"] for rule in rules}) == len(rules) > 5
    for rule in rules:
        assert {*rule} == {"alert", "expr", "for", "labels", "annotations"}
        assert rule["labels"]["severity"] in ("critical", "warning")
        named = {*re.findall(r"\$labels\.([a-z]+)", rule["annotations"]["summary"])}
        assert not named or "sum" not in rule["expr"], "a sum has no labels"


# Paths


@pytest.fixture(scope="module")
def routes() -> set[str]:
    return {rule.rule for rule in create_app(Settings.from_mapping({})).url_map.iter_rules()}


def test_every_path_is_a_route(routes: set[str]) -> None:
    scrapes = yaml.safe_load(deploy("prometheus.yml"))["scrape_configs"]
    paths = {each["metrics_path"] for each in scrapes}
    paths |= {*re.findall(r"location (?:= )?(/[^ ]*)", deploy("nginx.conf"))}
    paths |= {*re.findall(r"'(/[a-z]+)'", healthcheck())}
    assert {"/", "/metrics", "/livez"} <= paths
    assert {path.rstrip("/") or "/" for path in paths} <= routes


def test_every_forwarded_header_is_read() -> None:
    named = {*re.findall(r"X-[A-Za-z-]+", deploy("nginx.conf"))}
    code = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "stockapi" / "api" / "http").glob("*.py"))
    assert len(named) == 2
    assert [each for each in named if f'"{each}"' not in code] == []


# Settings and commands


def units() -> dict[str, ConfigParser]:
    """By file name. A key that is given twice is an error."""
    parsed = {}
    for path in UNITS:
        parsed[path.name] = ConfigParser(interpolation=None)
        parsed[path.name].optionxform = str  # type: ignore[assignment, method-assign]
        parsed[path.name].read(path)
    return parsed


def image_variables() -> set[str]:
    return {*re.findall(r"^(?:ENV|ARG|   ) ?([A-Z_]+)=", text_of("Dockerfile"), re.MULTILINE)}


def composed() -> dict[str, Any]:
    services: dict[str, Any] = yaml.safe_load(text_of("compose.yaml"))["services"]
    return services


def test_every_setting_exists() -> None:
    assert image_variables() >= {"VN_DATABASE_PATH", "CRYPTO_DATA_DIR", "PATH"}
    assert image_variables() - NO_SETTINGS <= variables()
    for service in composed().values():
        assert {*service.get("environment", {})} <= variables()
    for unit in units().values():
        assert {part.partition("=")[0] for part in unit["Service"].get("Environment", "").split()} <= variables()
    for path in DEPLOY.iterdir():
        named = {*re.findall(r"\b[A-Z]+(?:_[A-Z]+)+\b", path.read_text(encoding="utf-8"))}
        assert named - {"AF_INET", "AF_UNIX"} <= variables(), path.name


def commands() -> list[list[str]]:
    """Of the web, then of the worker, wherever they are started. Each without the directory of the program."""
    image = json.loads(re.findall(r"^CMD (.+)", text_of("Dockerfile"), re.MULTILINE)[-1])
    started = [shlex.split(units()[f"stockapi-{name}.service"]["Service"]["ExecStart"]) for name in ("web", "worker")]
    own = [composed()["web"].get("command", image), composed()["worker"]["command"]]
    return [[Path(command[0]).name, *command[1:]] for command in (*started, *own)]


def test_the_commands_are_those_of_the_procfile() -> None:
    procfile = dict(line.split(": ", 1) for line in text_of("Procfile").splitlines())
    web, worker = (procfile[name].removeprefix("exec ").split() for name in ("web", "worker"))
    assert commands() == [web, worker, web, worker]
    assert find_spec("workers.__main__") is not None


def test_both_units_are_hardened_alike() -> None:
    web, worker = (dict(each["Service"]) for each in units().values())
    own = {"ExecStart", "Environment", "TimeoutStopSec"}
    assert {name: value for name, value in web.items() if name not in own} == {
        name: value for name, value in worker.items() if name not in own
    }
    assert {"NoNewPrivileges": "yes", "ProtectSystem": "strict", "CapabilityBoundingSet": ""}.items() <= web.items()
    assert web["User"] != "root"


# The image


def healthcheck() -> str:
    (check,) = re.findall(r"^HEALTHCHECK .*\n +CMD (.+)", text_of("Dockerfile"), re.MULTILINE)
    arguments: list[str] = json.loads(check)
    assert arguments[:2] == ["python", "-c"]
    return arguments[2]


def test_the_image_runs_as_nobody_else_and_asks_itself() -> None:
    assert re.findall(r"^USER (.+)", text_of("Dockerfile"), re.MULTILINE) == ["10001:10001"]
    assert "groupadd --gid 10001 stockapi" in text_of("Dockerfile")
    assert "useradd --uid 10001 --gid stockapi" in text_of("Dockerfile")
    assert "http://127.0.0.1:" in healthcheck()


def copied() -> list[str]:
    """What the image has of the project."""
    lines = re.findall(r"^COPY (?!--from)(.+)", text_of("Dockerfile"), re.MULTILINE)
    return [name for line in lines for name in line.split()[:-1]]


def test_what_the_image_copies_is_sent_to_the_build() -> None:
    kept = [line[1:] for line in text_of(".dockerignore").splitlines() if line.startswith("!")]
    assert {name.split("/")[0] for name in kept} == {*copied()}
    assert [name for name in copied() if not (ROOT / name).exists()] == []


@pytest.mark.long
def test_what_the_image_has_is_enough(tmp_path: Path) -> None:
    """The application and the worker start with that alone, in its directories."""
    image, data = tmp_path / "image", tmp_path / "data"
    data.mkdir()
    for name in copied():
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, image / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            image.mkdir(exist_ok=True)
            shutil.copy(source, image / name)
    script = "import app, workers.__main__; print(app.app.test_client().get('/explorer').status_code)"
    variables = {"PATH": os.environ["PATH"], **environment(data)}
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=image, env=variables, capture_output=True, text=True, timeout=60
    )
    assert (done.stdout, done.stderr, done.returncode) == ("200\n", "", 0)


def test_continuous_integration_runs_what_is_run_here() -> None:
    workflow = yaml.safe_load(text_of(".github/workflows/ci.yml"))
    steps = [step for job in workflow["jobs"].values() for step in job["steps"]]
    assert [step["run"] for step in steps if "run" in step] == ["bash .ci/run"]
    assert (ROOT / ".ci" / "run").is_file()
    assert workflow["permissions"] == {"contents": "read"}
