-- The state of each worker, for /health, /readyz, /metrics and `flask status`. Times are Unix seconds.
-- due_every_s: the longest time until the next cycle begins. After several of these times the worker counts as stale.
-- source_state: 'ok', or the error of its source in the last cycle.
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

-- Dividends and splits by which the source has adjusted its history.
-- ratio: prices before ex_time were divided by it. applied_at: the time from which the adjusted history is served, so
-- clients should download again after it; NULL while it is being fetched.
CREATE TABLE adjustments (
    ticker TEXT NOT NULL,
    ex_time INTEGER NOT NULL,
    ratio REAL NOT NULL,
    seen_at INTEGER NOT NULL,
    applied_at INTEGER,
    PRIMARY KEY (ticker, ex_time)
) WITHOUT ROWID;
