"""A sweep's memory: finished points in SQLite, so that a killed sweep goes on where it was."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path

from simcluster.errors import InputError, Mistake
from simcluster.timeline.table import Cell

Row = Mapping[str, Cell]


class State:
    """Rows by key in one SQLite file, each safe on disk once `put` returns.

    `fingerprint` names what the rows belong to; a file of another fingerprint is refused.
    """

    def __init__(self, file: Path, fingerprint: str) -> None:
        self._connection = sqlite3.connect(file)
        try:
            self._connection.execute("PRAGMA journal_mode=WAL")
            self._connection.execute("PRAGMA synchronous=FULL")
            with self._connection:
                self._connection.execute("CREATE TABLE IF NOT EXISTS study (fingerprint TEXT PRIMARY KEY)")
                self._connection.execute("CREATE TABLE IF NOT EXISTS points (key TEXT PRIMARY KEY, row TEXT NOT NULL)")
            with closing(self._connection.execute("SELECT fingerprint FROM study")) as found:
                known = [row[0] for row in found]
            if not known:
                with self._connection:
                    self._connection.execute("INSERT INTO study VALUES (?)", (fingerprint,))
        except sqlite3.DatabaseError as error:
            self._connection.close()
            raise InputError(Mistake(what=f"is not a sweep's state ({error})", origin=str(file))) from None
        if known and known != [fingerprint]:
            self._connection.close()
            what = "holds a sweep of another scenario, --set, --fold or version; use another --out"
            raise InputError(Mistake(what=what, origin=str(file.parent)))

    def rows(self) -> dict[str, Row]:
        """Every finished point."""
        with closing(self._connection.execute("SELECT key, row FROM points")) as found:
            return {key: json.loads(row) for key, row in found}

    def put(self, key: str, row: Row) -> None:
        with self._connection:
            self._connection.execute("INSERT OR REPLACE INTO points VALUES (?, ?)", (key, json.dumps(row)))

    def close(self) -> None:
        self._connection.close()
