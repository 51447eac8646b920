"""A real MariaDB server for tests: own data directory, own port, stopped with the test run."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any, Self

import pymysql


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class MariaDb:
    """``with MariaDb() as db:`` gives ``db.port``; root has no password; sql_mode is empty."""

    def __init__(
        self,
        *,
        engine: str = "MyISAM",
        options: tuple[str, ...] = (),
        home: Path | None = None,
        port: int | None = None,
    ) -> None:
        """``home``: a folder that stays, with what an earlier server left in it."""
        self._stays = home is not None
        self.home = home or Path(tempfile.mkdtemp(prefix="bw-mariadb-"))
        self.port = port or free_port()
        self.engine = engine
        self.options = options
        self._server: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        if (self.home / "data").exists():
            self.start()
            return self
        self.home.mkdir(exist_ok=True)
        self.home.chmod(0o755)
        user = [] if os.geteuid() else ["--user=mysql"]
        if user:
            shutil.chown(self.home, "mysql")
        subprocess.run(
            ["mariadb-install-db", "--no-defaults", f"--datadir={self.home}/data",
             # The making of the data directory is a server too: see tmpdir below.
             f"--tmpdir={self.home}",
             "--auth-root-authentication-method=normal", "--skip-test-db", *user],
            check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        self.start()
        return self

    def start(self) -> None:
        user = [] if os.geteuid() else ["--user=mysql"]
        self._server = subprocess.Popen(
            ["mariadbd", "--no-defaults", f"--datadir={self.home}/data", f"--port={self.port}",
             f"--socket={self.home}/s.sock", "--bind-address=127.0.0.1", "--sql-mode=",
             # A starting server deletes every temporary table it finds in its tmpdir, also ours.
             f"--tmpdir={self.home}/data",
             "--character-set-server=utf8mb3", f"--default-storage-engine={self.engine}",
             "--explicit-defaults-for-timestamp=1", "--key-buffer-size=256M",
             "--innodb-buffer-pool-size=512M", "--innodb-flush-log-at-trx-commit=2",
             f"--pid-file={self.home}/pid", f"--log-error={self.home}/error.log",
             *user, *self.options],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        deadline = time.monotonic() + 60
        while True:
            try:
                self.connect().close()
                return
            except pymysql.err.OperationalError:
                if time.monotonic() > deadline or self._server.poll() is not None:
                    raise
                time.sleep(0.1)

    def kill(self) -> None:
        """SIGKILL the server, as a power cut would."""
        assert self._server is not None
        self._server.kill()
        self._server.wait()

    def connect(self, database: str | None = None, **options: Any) -> pymysql.Connection[Any]:
        return pymysql.connect(
            host="127.0.0.1", port=self.port, user="root", password="", database=database,
            charset="utf8mb4", autocommit=True, **options,
        )  # fmt: skip

    def stop(self) -> None:
        """In order, as for a backup of its folder."""
        if self._server is not None and self._server.poll() is None:
            self._server.terminate()
            try:
                self._server.wait(30)
            except subprocess.TimeoutExpired:
                self.kill()

    def __exit__(self, *_: object) -> None:
        self.stop()
        if not self._stays:
            shutil.rmtree(self.home, ignore_errors=True)
