-- What is stored of each ticker and interval. The transaction that writes the bars writes it too.
-- digest: a hash of all its bars that does not depend on their order (16 hexadecimal digits).
-- csv_stamp: the state of the CSV file that has the same bars. If the file has another stamp, it has changed since.
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

-- The number of runs of each worker, and the time of its last end (Unix seconds).
CREATE TABLE worker_states (
    worker TEXT PRIMARY KEY,
    iterations INTEGER NOT NULL,
    last_sync INTEGER
) WITHOUT ROWID;

-- The latest result of each kind of maintenance. /health shows 'integrity_check'.
CREATE TABLE maintenance (
    name TEXT PRIMARY KEY,
    done_at INTEGER NOT NULL,
    result TEXT NOT NULL
) WITHOUT ROWID;
