-- Pre-rendered bars: the newest bars of every series as JSON objects. They are copies of the rows, and are written in
-- the same transactions. Each table is its own index, so that the texts of a series are stored side by side. If the
-- form of an answer changes, a migration must empty these tables; the worker then fills them again.

CREATE TABLE {market}_daily_json (
    ticker TEXT NOT NULL,
    time INTEGER NOT NULL,
    json TEXT NOT NULL,
    PRIMARY KEY (ticker, time)
) WITHOUT ROWID;

CREATE TABLE {market}_hourly_json (
    ticker TEXT NOT NULL,
    time INTEGER NOT NULL,
    json TEXT NOT NULL,
    PRIMARY KEY (ticker, time)
) WITHOUT ROWID;

CREATE TABLE {market}_minute_json (
    ticker TEXT NOT NULL,
    time INTEGER NOT NULL,
    json TEXT NOT NULL,
    PRIMARY KEY (ticker, time)
) WITHOUT ROWID;
