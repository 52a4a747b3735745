"""One transaction as a block: all of it or nothing.

Owns beginning, committing and rolling back. Must not know what is written.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def transaction(database: sqlite3.Connection) -> Iterator[sqlite3.Connection]:
    """Do all of a block or nothing of it; the error that stopped it is the one that is raised.

    >>> database = sqlite3.connect(":memory:", isolation_level=None)
    >>> with transaction(database) as db:
    ...     _ = db.execute("CREATE TABLE t (x)")
    >>> database.in_transaction
    False
    """
    database.execute("BEGIN IMMEDIATE")
    try:
        yield database
        database.execute("COMMIT")
    except BaseException:
        # SQLite may have rolled back by itself (a full disk): rolling back again would hide the reason.
        if database.in_transaction:
            database.execute("ROLLBACK")
        raise
