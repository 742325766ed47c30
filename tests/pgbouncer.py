"""A real PgBouncer for the tests, in transaction mode: each transaction may reach another server connection."""

import os
import shutil
import socket
from typing import Any

from sqlalchemy import make_url

from tests.postgres import ACCOUNT
from tests.programs import find
from tests.server import Server, free_port


class PgBouncerServer(Server):
    """Keeps two server connections for each database, whatever the number of clients."""

    name = "PgBouncer"

    def __init__(self, database_url: str) -> None:
        """`database_url`: any database of the Postgres server behind it."""
        super().__init__()
        self._port = free_port()
        self._target = make_url(database_url)
        self._account: dict[str, Any] = {}
        if os.geteuid() == 0:
            shutil.chown(self._folder, ACCOUNT)
            self._account = {"user": ACCOUNT, "group": ACCOUNT, "extra_groups": []}

    def start(self) -> None:
        target = self._target
        file = self._folder / "pgbouncer.ini"
        file.write_text(
            "[databases]\n"
            f"* = host={target.host} port={target.port} user={target.username} password={target.password}\n"
            "[pgbouncer]\n"
            f"listen_addr = 127.0.0.1\nlisten_port = {self._port}\nunix_socket_dir =\n"
            "auth_type = any\npool_mode = transaction\ndefault_pool_size = 2\n"
        )
        file.chmod(0o644)  # whatever the umask; only its owner can enter the folder
        program = find("pgbouncer")
        assert program, "pgbouncer is not installed: apt-get install pgbouncer"
        self._launch([program, "pgbouncer.ini"], self._failure, **self._account)

    def url(self, database_url: str) -> str:
        """The URL of a database through the pooler."""
        return make_url(database_url).set(port=self._port).render_as_string(hide_password=False)

    def _failure(self) -> OSError | None:
        try:
            socket.create_connection(("127.0.0.1", self._port), timeout=1).close()
        except OSError as error:
            return error
        return None
