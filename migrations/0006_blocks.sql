-- Blocks: copies of the rows of every series as columns. They are written in the same transactions as the rows.
-- until: first_time of the next block of the series; NULL for the newest. A check is a hash of its bytes and of the
-- values before them. The format of the bytes: docs/storage.md.

CREATE TABLE {market}_daily_blocks (
    ticker TEXT NOT NULL,
    first_time INTEGER NOT NULL,
    until INTEGER,
    rows INTEGER NOT NULL,
    bars_check INTEGER NOT NULL,
    bars BLOB NOT NULL,
    indicators_check INTEGER NOT NULL,
    indicators BLOB NOT NULL,
    PRIMARY KEY (ticker, first_time)
);

CREATE TABLE {market}_hourly_blocks (
    ticker TEXT NOT NULL,
    first_time INTEGER NOT NULL,
    until INTEGER,
    rows INTEGER NOT NULL,
    bars_check INTEGER NOT NULL,
    bars BLOB NOT NULL,
    indicators_check INTEGER NOT NULL,
    indicators BLOB NOT NULL,
    PRIMARY KEY (ticker, first_time)
);

CREATE TABLE {market}_minute_blocks (
    ticker TEXT NOT NULL,
    first_time INTEGER NOT NULL,
    until INTEGER,
    rows INTEGER NOT NULL,
    bars_check INTEGER NOT NULL,
    bars BLOB NOT NULL,
    indicators_check INTEGER NOT NULL,
    indicators BLOB NOT NULL,
    PRIMARY KEY (ticker, first_time)
);

-- The digest of the bars in the blocks of the series. The blocks are valid while it equals the digest of the rows.
ALTER TABLE ledger ADD COLUMN blocks_digest TEXT NOT NULL DEFAULT '';
