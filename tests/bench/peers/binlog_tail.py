"""``binlog_tail.py PORT USER PASSWORD SCHEMA TABLE``: prints "key seconds-since-1970" per row event
of the table, from now on, until it is ended."""

import sys
import time

import pymysql
from pymysqlreplication import BinLogStreamReader
from pymysqlreplication.row_event import DeleteRowsEvent, UpdateRowsEvent, WriteRowsEvent

port, user, password, schema, table = sys.argv[1:]
settings = {"host": "127.0.0.1", "port": int(port), "user": user, "passwd": password}
with pymysql.connect(**settings) as link, link.cursor() as cursor:
    cursor.execute("SHOW MASTER STATUS")
    log_file, log_pos = cursor.fetchone()[:2]
stream = BinLogStreamReader(
    connection_settings=settings,
    server_id=4711,
    blocking=True,
    resume_stream=True,
    log_file=log_file,
    log_pos=log_pos,
    only_schemas=[schema],
    only_tables=[table],
    only_events=[WriteRowsEvent, UpdateRowsEvent, DeleteRowsEvent],
)  # fmt: skip
print("ready", flush=True)
for event in stream:
    for row in event.rows:
        values = row.get("after_values") or row["values"]
        print(next(iter(values.values())), f"{time.time():.6f}", flush=True)
