-- The newest bars of every series as the texts of their answers, JSON and CSV, in place of JSON alone. They count, as
-- blocks do, while copies_digest is that of the rows. Should the form of an answer change, a migration must set it to
-- ''; the worker's start then makes all copies anew.

DROP TABLE {market}_daily_json;
DROP TABLE {market}_hourly_json;
DROP TABLE {market}_minute_json;

CREATE TABLE {market}_daily_texts (
    ticker TEXT NOT NULL,
    time INTEGER NOT NULL,
    json TEXT NOT NULL,
    csv TEXT NOT NULL,
    PRIMARY KEY (ticker, time)
) WITHOUT ROWID;

CREATE TABLE {market}_hourly_texts (
    ticker TEXT NOT NULL,
    time INTEGER NOT NULL,
    json TEXT NOT NULL,
    csv TEXT NOT NULL,
    PRIMARY KEY (ticker, time)
) WITHOUT ROWID;

CREATE TABLE {market}_minute_texts (
    ticker TEXT NOT NULL,
    time INTEGER NOT NULL,
    json TEXT NOT NULL,
    csv TEXT NOT NULL,
    PRIMARY KEY (ticker, time)
) WITHOUT ROWID;

ALTER TABLE ledger RENAME COLUMN blocks_digest TO copies_digest;
UPDATE ledger SET copies_digest = '';
