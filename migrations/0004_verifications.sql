-- How the latest comparison of both stores went, for /health and `flask status`: one row.
-- done_at: Unix seconds. integrity: 'ok', or what SQLite's own check found first.
-- differing: series that were not the same in both stores; left_over: how many of those still are not.
-- rebuilt: 1 when the database had to be filled anew from CSV.
CREATE TABLE verification (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    done_at INTEGER NOT NULL,
    seconds REAL NOT NULL,
    integrity TEXT NOT NULL,
    series INTEGER NOT NULL,
    bars INTEGER NOT NULL,
    differing INTEGER NOT NULL,
    left_over INTEGER NOT NULL,
    rebuilt INTEGER NOT NULL
);
