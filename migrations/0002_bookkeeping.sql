-- What is stored of each ticker and interval, kept in the transaction that writes the bars.
-- digest: order-independent hash of all its bars (16 hexadecimal digits).
-- csv_stamp: which state of the CSV file these bars are the same as; another stamp means the file has moved on.
CREATE TABLE ledger (
    ticker TEXT NOT NULL,
    interval TEXT NOT NULL,
    rows INTEGER NOT NULL,
    first_time INTEGER NOT NULL,
    last_time INTEGER NOT NULL,
    digest TEXT NOT NULL,
    csv_stamp TEXT NOT NULL,
    updated_at INTEGER NOT NULL,
    PRIMARY KEY (ticker, interval)
) WITHOUT ROWID;

-- How often each worker has run, and when it last finished (Unix seconds).
CREATE TABLE worker_states (
    worker TEXT PRIMARY KEY,
    iterations INTEGER NOT NULL,
    last_sync INTEGER
) WITHOUT ROWID;

-- The result of each kind of maintenance, the latest only: 'integrity_check' is what /health shows.
CREATE TABLE maintenance (
    name TEXT PRIMARY KEY,
    done_at INTEGER NOT NULL,
    result TEXT NOT NULL
) WITHOUT ROWID;
