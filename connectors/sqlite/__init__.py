"""SQLite (WAL): the embedded journal and the embedded store."""
