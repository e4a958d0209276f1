-- The result of the latest comparison of both stores, for /health and `flask status`: one row.
-- done_at: Unix seconds. integrity: 'ok', or the first problem that SQLite's check found.
-- differing: the number of series that differed between the stores; left_over: how many of them still differ.
-- rebuilt: 1 when the database was rebuilt from CSV.
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
