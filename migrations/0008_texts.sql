-- Pre-rendered bars as JSON and as CSV, instead of JSON alone. They are valid, as blocks are, while copies_digest equals
-- the digest of the rows. If the form of an answer changes, a migration must set copies_digest to ''; the next start of
-- the worker then makes all copies again.

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
