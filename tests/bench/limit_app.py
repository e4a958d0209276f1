"""The application plus one route that answers from memory: what Flask and gunicorn alone could do at best."""

import os

from flask import Response

from stockapi import create_app

app = create_app()
# Asked of a second one: an application that has answered takes no more routes.
_body = create_app().test_client().get(os.environ["BENCH_PATH"]).data


@app.get("/limit")
def limit() -> Response:
    """The same bytes as the measured query, with nothing done to get them."""
    return Response(_body, content_type="application/json")
