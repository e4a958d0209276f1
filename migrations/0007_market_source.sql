-- The source that filled the market, at most one row. The file source.json in its CSV directory says the same.
-- since: Unix seconds.
CREATE TABLE market_source (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    name TEXT NOT NULL,
    since INTEGER NOT NULL
);

-- Only of the latest cycle: the number of series requested from the source, and the number that it did not give.
ALTER TABLE worker_states ADD COLUMN cycle_calls INTEGER;
ALTER TABLE worker_states ADD COLUMN cycle_errors INTEGER;
