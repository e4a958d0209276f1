"""The baseline: Flask and pandas with everything in memory, as people usually write it. `gunicorn pandas_app:app`.

Days, hours and minutes of both markets are read from the CSV trees at the start. In favour of it: rows become JSON in
pandas' C code, dates are looked up in a sorted index, and --preload lets the processes share what they have read.
"""

import os
from pathlib import Path

import pandas as pd
from flask import Flask, Response, request

app = Flask(__name__)


def load(root: Path, interval: str) -> dict[str, pd.DataFrame]:
    frames = {}
    for path in sorted(root.glob(f"*/{interval}.csv")):
        frame = pd.read_csv(path, parse_dates=["time"], index_col="time").rename(columns={"ticker": "symbol"})
        frame["symbol"] = frame["symbol"].astype("category")
        frames[path.parent.name] = frame.sort_index()
    return frames


MARKETS = {
    (mode, interval): load(Path(os.environ[variable]), interval)
    for mode, variable in (("vn", "MARKET_DATA_DIR"), ("crypto", "CRYPTO_DATA_DIR"))
    for interval in ("1D", "1H", "1m")
}


@app.get("/livez")
def livez() -> str:
    return "ok"


@app.get("/tickers")
def tickers() -> Response:
    interval = request.args.get("interval", "1D")
    frames = MARKETS[request.args.get("mode", "vn"), interval]
    symbols = request.args.getlist("symbol") or list(frames)
    chosen = {symbol: select(frames[symbol]) for symbol in symbols if symbol in frames}
    if request.args.get("format") == "csv":
        return Response(pd.concat(chosen.values()).to_csv(), content_type="text/csv")
    text = ",".join(f'"{symbol}":{to_json(frame, interval)}' for symbol, frame in chosen.items())
    return Response(f"{{{text}}}", content_type="application/json")


def select(frame: pd.DataFrame) -> pd.DataFrame:
    start, end = request.args.get("start_date"), request.args.get("end_date")
    frame = frame.loc[start:end]
    return frame if start else frame.tail(int(request.args.get("limit", "252")))


def to_json(frame: pd.DataFrame, interval: str) -> str:
    times = frame.index.strftime("%Y-%m-%d" if interval == "1D" else "%Y-%m-%dT%H:%M:%S")
    text: str = frame.assign(time=times).to_json(orient="records")
    return text
