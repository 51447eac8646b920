"""Five people at the front desk: 25 short operations a second until told to stop.

``python -m tests.bench.desk_process PORT DATABASE SEED`` prints one line per operation: when it
began (seconds since 1970), what it was, how many milliseconds it took. Ends with its input.
"""

from __future__ import annotations

import random
import sys
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pymysql

USERS = 5
RATE = 25.0
_DAY = (
    "SELECT AptNum, PatNum, AptStatus, AptDateTime, Op, ProvNum, Pattern, Confirmed, Note, "
    "ProcDescript FROM appointment WHERE AptDateTime >= %s AND AptDateTime < %s"
)
_SEARCH = (
    "SELECT PatNum, LName, FName, Birthdate, WirelessPhone FROM patient WHERE LName LIKE %s "
    "ORDER BY LName, FName LIMIT 30"
)


class Person:
    """One connection, one thread, its own dice."""

    def __init__(self, port: int, database: str, seed: int) -> None:
        self._link = pymysql.connect(
            host="127.0.0.1", port=port, user="root", password="", database=database,
            charset="utf8mb4", autocommit=True,
        )  # fmt: skip
        self._cursor = self._link.cursor()
        self._cursor.execute("SET SESSION sql_mode=''")
        self._rng = random.Random(seed)
        self._today = datetime.now(UTC).date()
        self._patients = self._keys("SELECT PatNum FROM patient ORDER BY PatNum LIMIT 5000")
        self._visits = self._keys(
            "SELECT AptNum FROM appointment WHERE AptDateTime >= CURDATE() - INTERVAL 60 DAY LIMIT "
            "5000"
        )
        self.deeds: list[tuple[str, float, Callable[[], None]]] = [
            ("day", 0.40, self.day), ("search", 0.15, self.search), ("card", 0.20, self.card),
            ("confirm", 0.12, self.confirm), ("commlog", 0.08, self.commlog),
            ("patient", 0.05, self.patient),
        ]  # fmt: skip

    def _keys(self, sql: str) -> list[int]:
        self._cursor.execute(sql)
        return [int(key) for (key,) in self._cursor.fetchall()]

    def _ask(self, sql: str, *values: Any) -> None:
        self._cursor.execute(sql, values)
        self._cursor.fetchall()

    def day(self) -> None:
        first = self._today + timedelta(days=self._rng.randrange(-20, 20))
        self._ask(_DAY, first, first + timedelta(days=1))

    def search(self) -> None:
        self._ask(_SEARCH, self._rng.choice("ABCDGHJKLMNOPRSTW") + self._rng.choice("aeiou") + "%")

    def card(self) -> None:
        patient = self._rng.choice(self._patients)
        self._ask("SELECT * FROM patient WHERE PatNum=%s", patient)
        self._ask("SELECT * FROM appointment WHERE PatNum=%s", patient)

    def confirm(self) -> None:
        self._ask("UPDATE appointment SET Confirmed=%s WHERE AptNum=%s",
                  self._rng.choice((19, 21, 24, 20)), self._rng.choice(self._visits))  # fmt: skip

    def commlog(self) -> None:
        self._ask(
            "INSERT INTO commlog (PatNum, CommDateTime, CommType, Note, Mode_, SentOrReceived, "
            "UserNum, Signature) VALUES (%s, NOW(), 235, 'Called', 3, 1, 1, '')",
            self._rng.choice(self._patients),
        )

    def patient(self) -> None:
        note, patient = f"note {self._rng.randrange(10**6)}", self._rng.choice(self._patients)
        self._ask("UPDATE patient SET AddrNote=%s WHERE PatNum=%s", note, patient)

    def work(self, stop: threading.Event, told: Callable[[str], None]) -> None:
        names = [name for name, _, _ in self.deeds]
        weights = [weight for _, weight, _ in self.deeds]
        acts = {name: act for name, _, act in self.deeds}
        due = time.monotonic() + self._rng.random() * USERS / RATE
        while not stop.is_set():
            stop.wait(max(due - time.monotonic(), 0.0))
            name = self._rng.choices(names, weights)[0]
            at, began = time.time(), time.perf_counter()
            acts[name]()
            told(f"{at:.3f} {name} {(time.perf_counter() - began) * 1000:.3f}")
            # Nobody works faster because the program was slow: the next one comes at its own time.
            due = max(due + self._rng.uniform(0.5, 1.5) * USERS / RATE, time.monotonic())


def main() -> None:
    port, database, seed = int(sys.argv[1]), sys.argv[2], int(sys.argv[3])
    people = [Person(port, database, seed * 100 + n) for n in range(USERS)]
    stop, lock = threading.Event(), threading.Lock()

    def told(line: str) -> None:
        with lock:
            print(line, flush=True)

    threads = [threading.Thread(target=person.work, args=(stop, told)) for person in people]
    for thread in threads:
        thread.start()
    sys.stdin.read()
    stop.set()
    for thread in threads:
        thread.join()


if __name__ == "__main__":
    main()
