-- Every series once more as blocks of columns: copies of its rows, written in the transactions that write those.
-- until: first_time of the series' next block, NULL for the newest. Each check is a hash of the bytes beside it, and of
-- what stands before them. What the bytes mean: docs/storage.md.

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

-- The digest of the bars that the blocks of the series hold; they count as long as it is that of its rows.
ALTER TABLE ledger ADD COLUMN blocks_digest TEXT NOT NULL DEFAULT '';
