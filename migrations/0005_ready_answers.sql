-- The newest bars of every series as the JSON of their answers, ready to be joined: written in the transactions that
-- write the rows, and never more than a copy of them. Each table is its own index, so that the texts of a series lie
-- side by side. Should the form of an answer change, a migration must empty these tables; they fill themselves again.

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
