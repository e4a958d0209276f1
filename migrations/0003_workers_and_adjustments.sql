-- What each worker last did, for /health, /readyz, /metrics and `flask status`. Times are Unix seconds.
-- due_every_s: the longest it should take until the next cycle begins; later than a few of those it counts as stale.
-- source_state: 'ok', or what kept its source from answering in the last cycle.
ALTER TABLE worker_states ADD COLUMN heartbeat_at INTEGER;
ALTER TABLE worker_states ADD COLUMN due_every_s INTEGER;
ALTER TABLE worker_states ADD COLUMN cycle_seconds REAL;
ALTER TABLE worker_states ADD COLUMN rows_written INTEGER NOT NULL DEFAULT 0;
ALTER TABLE worker_states ADD COLUMN source TEXT;
ALTER TABLE worker_states ADD COLUMN source_state TEXT;
ALTER TABLE worker_states ADD COLUMN source_calls INTEGER NOT NULL DEFAULT 0;
ALTER TABLE worker_states ADD COLUMN source_errors INTEGER NOT NULL DEFAULT 0;
ALTER TABLE worker_states ADD COLUMN last_error TEXT;
ALTER TABLE worker_states ADD COLUMN last_error_at INTEGER;

-- Dividends and splits that the source has carried back into its history.
-- ratio: prices before ex_time are 1 / ratio of what they were. applied_at: when the adjusted history began to be
-- served, and so when clients should download again; NULL while it is being fetched.
CREATE TABLE adjustments (
    ticker TEXT NOT NULL,
    ex_time INTEGER NOT NULL,
    ratio REAL NOT NULL,
    seen_at INTEGER NOT NULL,
    applied_at INTEGER,
    PRIMARY KEY (ticker, ex_time)
) WITHOUT ROWID;
