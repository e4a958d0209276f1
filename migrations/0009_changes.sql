-- Which bars have changed since when, for clients that keep a copy of the market. It is written in the same transactions
-- as the rows. The rows themselves say in updated_at when they were written last.

-- One row for this database.
-- log: a name at random. Another database, or one that was restored, has another name.
-- begun_at: what was written or deleted at this time (Unix seconds) or before is not in the table of changes; NULL until
--     the first change. For bars that are stored already it is the time of their last save.
-- seq, at: the number and the time of the last change. No change has an earlier time than the one before it, even when
--     the clock of the machine was set back.
CREATE TABLE changes_log (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    log TEXT NOT NULL,
    begun_at INTEGER,
    seq INTEGER NOT NULL,
    at INTEGER NOT NULL
);
INSERT INTO changes_log SELECT 1, lower(hex(randomblob(4))), max(updated_at), 0, coalesce(max(updated_at), 0) FROM ledger;

-- The last change of each part of a series, the number `part` of 64 bars: all changed bars are from first_time to
-- last_time. The part of the least number stands for the whole series: it is new, or bars were deleted, or most of them
-- have changed. Then there are no other parts of it that are older.
CREATE TABLE changes (
    ticker TEXT NOT NULL,
    interval TEXT NOT NULL,
    part INTEGER NOT NULL,
    first_time INTEGER NOT NULL,
    last_time INTEGER NOT NULL,
    seq INTEGER NOT NULL,
    at INTEGER NOT NULL,
    PRIMARY KEY (ticker, interval, part)
) WITHOUT ROWID;

CREATE INDEX changes_by_seq ON changes (seq);
