"""GET /explorer: a page to look at the market with, from an installed package and without a line from elsewhere."""

from functools import cache

from flask import Blueprint, Response, render_template_string

from stockapi.api.pages.assets import AssetBundle, package_file, static_file
from stockapi.api.pages.page import page
from stockapi.context import services

blueprint = Blueprint("explorer", __name__)

# Apart from our own files: a new version of the page must not cost its readers the 1.3 MB of the library again.
PLOTLY = AssetBundle("plotly", {"plotly.min.js": package_file("plotly", "plotly/package_data/plotly.min.js")})
OWN = AssetBundle(
    "explorer",
    {path.name: path for path in static_file("explorer").iterdir() if path.suffix in {".css", ".js"}},
)
_STYLES = ("base.css", "layout.css", "parts.css")
_MODULES = sorted(path.name for path in static_file("explorer").glob("*.js") if path.name != "theme-early.js")
_PAGE = static_file("explorer/index.html")
_MAPLIBRE_STYLE_ID = "9f215cf04c5486422605d13261cb87401f4e7763b6296af81e98efbc0130da53"
"""plotly.js 4.1.1 adds a style sheet for its maps unless there is an element of this id."""


@blueprint.get("/explorer")
def explorer() -> Response:
    """The page; its scripts ask the API beside it, and no other host."""
    return page(_html(",".join(services().settings.index_tickers)))


@cache
def _html(index_tickers: str) -> bytes:
    """To be called in a request: Flask renders templates of an application."""
    return render_template_string(
        _PAGE.read_text(encoding="utf-8"),
        url=OWN.url,
        plotly=PLOTLY.url("plotly.min.js"),
        styles=_STYLES,
        modules=_MODULES,
        maplibre_style_id=_MAPLIBRE_STYLE_ID,
        index_tickers=index_tickers,
    ).encode()
