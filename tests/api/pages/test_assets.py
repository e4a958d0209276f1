import gzip
import re
import sys
import time
from collections.abc import Callable
from pathlib import Path
from threading import Barrier, Thread
from typing import Any

import brotli
import pytest
from flask import Flask
from flask.testing import FlaskClient

from stockapi.api.http import compression, error_handlers, headers
from stockapi.api.pages import assets
from stockapi.api.pages.assets import AssetBundle, package_file, static_file

SCRIPT = b"export const answer = 42\n" * 100
PICTURE = b"\x89PNG" + bytes(2_000)


def application(*bundles: AssetBundle) -> Flask:
    app = Flask(__name__, static_folder=None)
    app.url_map.merge_slashes = False  # as create_app
    error_handlers.install(app)
    headers.install(app, ())
    compression.install(app)
    assets.install(app, *bundles)
    app.register_blueprint(assets.blueprint)
    return app


@pytest.fixture
def files(tmp_path: Path) -> dict[str, Path]:
    (tmp_path / "start.js").write_bytes(SCRIPT)
    (tmp_path / "dot.png").write_bytes(PICTURE)
    (tmp_path / "secret.js").write_bytes(b"nobody's business")
    return {"start.js": tmp_path / "start.js", "parts/dot.png": tmp_path / "dot.png"}


@pytest.fixture
def bundle(files: dict[str, Path]) -> AssetBundle:
    return AssetBundle("page", files)


@pytest.fixture
def client(bundle: AssetBundle) -> FlaskClient:
    return application(bundle).test_client()


@pytest.mark.parametrize(
    ("name", "content_type", "content"),
    [("start.js", "text/javascript; charset=utf-8", SCRIPT), ("parts/dot.png", "image/png", PICTURE)],
)
def test_a_file_may_be_kept_for_a_year(
    client: FlaskClient, bundle: AssetBundle, name: str, content_type: str, content: bytes
) -> None:
    answer = client.get(bundle.url(name))
    assert (answer.status_code, answer.data, answer.headers["Content-Type"]) == (200, content, content_type)
    assert answer.headers["Content-Length"] == str(len(content))
    assert set(answer.headers["Cache-Control"].split(", ")) == {"public", "max-age=31536000", "immutable"}
    assert answer.headers["X-Content-Type-Options"] == "nosniff"


UNPACK: dict[str | None, Callable[[bytes], Any]] = {"br": brotli.decompress, "gzip": gzip.decompress, None: bytes}


@pytest.mark.parametrize(
    ("accepted", "encoding"),
    [
        ("gzip, deflate, br, zstd", "br"),
        ("gzip", "gzip"),
        ("br;q=0.5, gzip", "gzip"),
        ("gzip;q=0, br;q=0", None),
        ("zstd", None),
        ("", None),
    ],
)
def test_a_script_comes_in_the_encoding_liked_best(
    client: FlaskClient, bundle: AssetBundle, accepted: str, encoding: str | None
) -> None:
    answer = client.get(bundle.url("start.js"), headers={"Accept-Encoding": accepted})
    assert answer.headers.get("Content-Encoding") == encoding
    assert UNPACK[encoding](answer.data) == SCRIPT
    assert (len(answer.data) < len(SCRIPT)) is (encoding is not None)
    assert "Accept-Encoding" in answer.headers["Vary"]


def test_a_picture_is_not_compressed_again(client: FlaskClient, bundle: AssetBundle) -> None:
    answer = client.get(bundle.url("parts/dot.png"), headers={"Accept-Encoding": "br, gzip"})
    assert (answer.headers.get("Content-Encoding"), answer.data) == (None, PICTURE)


def test_each_encoding_has_its_tag_and_304(client: FlaskClient, bundle: AssetBundle) -> None:
    url = bundle.url("start.js")
    tags = {}
    for encoding in ("br", "gzip", "identity"):
        tags[encoding] = client.get(url, headers={"Accept-Encoding": encoding}).headers["ETag"]
        again = client.get(url, headers={"Accept-Encoding": encoding, "If-None-Match": tags[encoding]})
        assert (again.status_code, again.data, again.headers["ETag"]) == (304, b"", tags[encoding])
        assert "immutable" in again.headers["Cache-Control"]
    assert len(set(tags.values())) == 3
    assert client.get(url, headers={"Accept-Encoding": "br", "If-None-Match": tags["gzip"]}).status_code == 200


def test_head_is_get_without_a_body(client: FlaskClient, bundle: AssetBundle) -> None:
    answer = client.head(bundle.url("start.js"))
    assert (answer.status_code, answer.data, answer.headers["Content-Length"]) == (200, b"", str(len(SCRIPT)))


@pytest.mark.parametrize(
    "path",
    [
        "/assets/page/{version}/secret.js",
        "/assets/page/{version}/parts/../secret.js",
        "/assets/page/{version}/../../secret.js",
        "/assets/page/{version}/..%2fsecret.js",
        "/assets/page/{version}/%2e%2e/secret.js",
        "/assets/page/{version}//etc/passwd",
        "/assets/page/{version}/start.js%00",
        "/assets/page/{version}/START.JS",
        "/assets/page/{version}/",
        "/assets/page/0123456789abcdef/start.js",
        "/assets/page/start.js",
        "/assets/other/{version}/start.js",
    ],
)
def test_nothing_else_is_there(client: FlaskClient, bundle: AssetBundle, path: str) -> None:
    answer = client.get(path.format(version=bundle.version))
    assert (answer.status_code, answer.headers["Content-Type"]) == (404, "application/json")
    assert answer.json is not None
    assert list(answer.json) == ["error"]
    assert answer.headers["Cache-Control"] == "no-store"


def test_the_version_is_that_of_all_content_and_names(tmp_path: Path) -> None:
    def version(*files: tuple[str, str]) -> str:
        for number, (_, text) in enumerate(files):
            (tmp_path / f"{number}.js").write_text(text)
        return AssetBundle("page", {name: tmp_path / f"{n}.js" for n, (name, _) in enumerate(files)}).version

    versions = [
        version(("a.js", "1"), ("b.js", "2")),
        version(("a.js", "1"), ("b.js", "3")),
        version(("a.js", "12"), ("b.js", "")),
        version(("a.js", "1"), ("c.js", "2")),
        version(("a.js", "1")),
    ]
    assert len(set(versions)) == len(versions)
    assert version(("b.js", "2"), ("a.js", "1")) == versions[0]
    assert re.fullmatch("[0-9a-f]{16}", versions[0])


def test_a_file_is_compressed_once(bundle: AssetBundle, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[bytes] = []

    def compress(content: bytes) -> bytes:
        calls.append(content)
        time.sleep(0.05)  # long enough for the others to come
        return gzip.compress(content)

    monkeypatch.setitem(assets._COMPRESS, "gzip", compress)
    app = application(bundle)
    barrier = Barrier(8)

    def ask() -> None:
        barrier.wait()
        app.test_client().get(bundle.url("start.js"), headers={"Accept-Encoding": "gzip"})

    threads = [Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert calls == [SCRIPT]


def test_a_name_that_is_not_in_the_bundle_has_no_url(bundle: AssetBundle) -> None:
    with pytest.raises(KeyError):
        bundle.url("secret.js")


def test_a_kind_of_file_without_a_content_type_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"^x\.exe: its kind is unknown; known: \.js"):
        AssetBundle("page", {"x.exe": tmp_path / "x.exe"})


def test_files_of_installed_packages_are_found_without_importing_them() -> None:
    assert package_file("flask-swagger-ui", "flask_swagger_ui/dist/swagger-ui-bundle.js").stat().st_size > 1_000_000
    assert package_file("litecharts", "litecharts/js/lightweight-charts.js").stat().st_size > 100_000
    assert not any(name.partition(".")[0] == "litecharts" for name in sys.modules)


def test_static_files_lie_beside_the_code() -> None:
    assert static_file("docs") == Path(assets.__file__).parents[2] / "static" / "docs"
    assert static_file("docs").is_dir()
