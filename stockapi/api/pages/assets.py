"""GET /assets: scripts, styles and pictures of the HTML pages. Their paths change with their content.

The module of a page names its files once, and the page gets their paths from `url`:

    ASSETS = AssetBundle("docs", {
        "swagger-ui.css": package_file("flask-swagger-ui", "flask_swagger_ui/dist/swagger-ui.css"),
        "start.js": static_file("docs/start.js"),
    })
    ASSETS.url("start.js")  # /assets/docs/5d0c7a1e92b84f36/start.js

`create_app` passes the bundles to `install`. Scripts of one bundle may import each other as `./other.js`.
All files of a bundle have one version, so files that change at different times (a large library, our own scripts) need
two bundles.
"""

import gzip
from collections.abc import Callable, Mapping
from functools import cached_property
from hashlib import blake2b
from http import HTTPStatus
from importlib.metadata import distribution
from pathlib import Path
from threading import Lock

import brotli  # type: ignore[import-untyped]
from flask import Blueprint, Flask, Response, current_app, request

from stockapi.errors import NotFoundError

blueprint = Blueprint("assets", __name__)

_KEY = "stockapi_assets"
_STATIC = Path(__file__).parents[2] / "static"
_YEAR_S = 31_536_000
_CONTENT_TYPES = {
    ".js": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".svg": "image/svg+xml",
    ".png": "image/png",
}
_COMPRESSIBLE = frozenset({".js", ".css", ".svg"})
# Measured with the 189 KB of the charting library: brotli 6 gives 56 KB in 17 ms (9: 56 in 93, 11: 51 in 850), gzip 6
# 59 KB in 20 ms. zstd is not needed: browsers that know it know brotli too.
_COMPRESS: dict[str, Callable[[bytes], bytes]] = {
    "br": lambda content: bytes(brotli.compress(content, quality=6)),
    "gzip": lambda content: gzip.compress(content, compresslevel=6, mtime=0),
}
_IDENTITY = "identity"


def package_file(package: str, path: str) -> Path:
    """A file of an installed package. The package is not imported. `package`: its name for pip.

    :raises PackageNotFoundError: when it is not installed.
    """
    return Path(str(distribution(package).locate_file(path)))


def static_file(path: str) -> Path:
    """A file of stockapi/static."""
    return _STATIC / path


class AssetBundle:
    """Files to serve, by their names in URLs. Names may contain slashes.

    A file is read at its first request. Like code, it must not change while the process runs. Each encoding of a
    compressible file is made once in a process and kept: 0.8 MB for both encodings of Swagger UI. Threads may share it.

    :raises ValueError: for a kind of file whose content type is not known here.
    """

    def __init__(self, name: str, files: Mapping[str, Path]) -> None:
        for path in files.values():
            if path.suffix not in _CONTENT_TYPES:
                raise ValueError(f"{path.name}: its kind is unknown; known: {', '.join(_CONTENT_TYPES)}")
        self.name = name
        self._files = dict(files)
        self._compressed: dict[tuple[str, str], bytes] = {}
        self._lock = Lock()

    @cached_property
    def version(self) -> str:
        """Sixteen hexadecimal digits. They change when the name or the content of a file changes."""
        digest = blake2b(digest_size=8)
        for name, path in sorted(self._files.items()):
            content = path.read_bytes()
            digest.update(f"{name}\0{len(content)}\0".encode())
            digest.update(content)
        return digest.hexdigest()

    def url(self, name: str) -> str:
        """The present path of a file, without the prefix of a proxy.

        :raises KeyError: for a file that is not in this bundle.
        """
        if name not in self._files:
            raise KeyError(name)
        return f"/assets/{self.name}/{self.version}/{name}"

    def response(self, version: str, name: str) -> Response:
        """The file in the encoding that the request prefers, or 304.

        :raises NotFoundError: for a file that is not in this bundle, or for another version.
        """
        if name not in self._files or version != self.version:
            raise _not_found()
        suffix = self._files[name].suffix
        # It uses the header of the client, not the choice of `compression`, because that may be zstd.
        offered = (*_COMPRESS, _IDENTITY) if suffix in _COMPRESSIBLE else (_IDENTITY,)
        encoding = request.accept_encodings.best_match(offered, default=_IDENTITY)
        tag = f"{version}-{name}" if encoding == _IDENTITY else f"{version}-{name}:{encoding}"
        if request.if_none_match.contains_weak(tag):
            response = Response(status=HTTPStatus.NOT_MODIFIED)
        else:
            response = Response(self._content(name, encoding), content_type=_CONTENT_TYPES[suffix])
            if encoding != _IDENTITY:
                response.content_encoding = encoding
        response.set_etag(tag)
        response.cache_control.public = True
        response.cache_control.max_age = _YEAR_S
        response.cache_control.immutable = True
        return response

    def _content(self, name: str, encoding: str) -> bytes:
        if encoding == _IDENTITY:
            return self._files[name].read_bytes()
        with self._lock:  # two threads must not spend the same 100 ms
            if (name, encoding) not in self._compressed:
                self._compressed[name, encoding] = _COMPRESS[encoding](self._files[name].read_bytes())
            return self._compressed[name, encoding]


def install(app: Flask, *bundles: AssetBundle) -> None:
    """Serve the files of these bundles, and no other files."""
    app.extensions[_KEY] = {bundle.name: bundle for bundle in bundles}


@blueprint.get("/assets/<bundle>/<version>/<path:name>")
def asset(bundle: str, version: str, name: str) -> Response:
    """A file of a bundle. Browsers may keep it for a year, because another content has another path."""
    bundles: dict[str, AssetBundle] = current_app.extensions[_KEY]
    if bundle not in bundles:
        raise _not_found()
    return bundles[bundle].response(version, name)


def _not_found() -> NotFoundError:
    return NotFoundError("there is no such asset, or not in this version any more; load the page that named it again")
