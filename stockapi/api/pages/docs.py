"""GET /docs: Swagger UI for /openapi.json, from an installed package. It loads nothing from other hosts."""

from functools import lru_cache

from flask import Blueprint, Response, render_template_string

from stockapi.api.http.path_prefix import path_prefix
from stockapi.api.pages.assets import AssetBundle, package_file, static_file
from stockapi.api.pages.page import REMEMBERED_PAGES, page

blueprint = Blueprint("docs", __name__)

_DIST = "flask_swagger_ui/dist"
SWAGGER_UI = AssetBundle(
    "swagger-ui",
    {
        "swagger-ui.css": package_file("flask-swagger-ui", f"{_DIST}/swagger-ui.css"),
        "swagger-ui-bundle.js": package_file("flask-swagger-ui", f"{_DIST}/swagger-ui-bundle.js"),
    },
)
OWN = AssetBundle(
    "docs",
    {name: static_file(f"docs/{name}") for name in ("docs.css", "docs.js", "icon.svg")},
)
_PAGE = static_file("docs/index.html")


@blueprint.get("/docs")
def docs() -> Response:
    """The page; its scripts read /openapi.json."""
    return page(_html(path_prefix()))


@lru_cache(REMEMBERED_PAGES)
def _html(prefix: str) -> bytes:
    """The page. Call it in a request with this prefix."""
    text = _PAGE.read_text(encoding="utf-8")
    return render_template_string(text, prefix=prefix, swagger_ui=SWAGGER_UI.url, own=OWN.url).encode()
