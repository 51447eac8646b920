"""``python -m tests.support.odapi``: run the stand-in over a database until Ctrl+C."""

from __future__ import annotations

import time
from pathlib import Path

import click

from tests.support.odapi import Database, Mode, StandIn, Tier


@click.command()
@click.option("--port", default=30223, show_default=True, help="Where to listen (127.0.0.1).")
@click.option("--db-host", default="127.0.0.1", show_default=True)
@click.option("--db-port", default=3306, show_default=True)
@click.option("--db-user", default="root", show_default=True)
@click.option("--db-password", default="", envvar="ODAPI_DB_PASSWORD", help="Or ODAPI_DB_PASSWORD.")
@click.option("--database", default="opendental", show_default=True)
@click.option("--file", type=click.Path(path_type=Path), help="The sample practice's SQLite file.")
@click.option("--zone", help="The office's IANA zone; default: the server's own clock.")
@click.option("--version", default="24.4.5", show_default=True, help="The office's version.")
@click.option("--tier", type=click.Choice([t.value for t in Tier]), default="full")
@click.option("--mode", type=click.Choice([m.value for m in Mode]), default="service")
@click.option("--developer-key", default="dev-key", show_default=True)
@click.option("--customer-key", default="customer-key", show_default=True)
def main(
    port: int, db_host: str, db_port: int, db_user: str, db_password: str, database: str,
    file: Path | None, zone: str | None, version: str, tier: str, mode: str, developer_key: str,
    customer_key: str,
) -> None:  # fmt: skip
    """Answer as the Open Dental API over a test database. A stand-in, not Open Dental.

    Faults: POST /standin/faults {"fault": "cut", "path": "appointments*", "times": 1};
    DELETE /standin/faults switches them off.
    """
    office = Database(
        host=db_host, port=db_port, user=db_user, password=db_password, database=database,
        file=file, zone=zone,
    )  # fmt: skip
    with StandIn(
        office, port=port, version=version, tier=Tier(tier), mode=Mode(mode),
        developer_key=developer_key, customer_key=customer_key,
    ) as api:  # fmt: skip
        click.echo(f"{api.url}  (Authorization: {api.authorization})")
        try:
            while True:
                time.sleep(3600)
        except KeyboardInterrupt:
            click.echo("stopped")


if __name__ == "__main__":
    main()
