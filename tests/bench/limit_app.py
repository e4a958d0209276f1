"""The application plus routes that answer from memory: what Flask and gunicorn alone could do at best.

`/limit/<n>` has the bytes and the headers of the n-th line of BENCH_PATHS, with nothing done to get them.
"""

import os

from flask import Response

from stockapi import create_app

app = create_app()
# Asked of a second one: an application that has answered takes no more routes.
_client = create_app().test_client()
_answers = [(answer.data, dict(answer.headers)) for answer in map(_client.get, os.environ["BENCH_PATHS"].splitlines())]


@app.get("/limit/<int:number>")
def limit(number: int) -> Response:
    body, headers = _answers[number]
    return Response(body, headers=headers)
