"""``dlt_load.py URL TABLE BACKEND FOLDER``: one run of dlt, by change stamp, into JSON lines."""

import os
import sys

url, table, backend, folder = sys.argv[1:]
os.environ.update(
    {"RUNTIME__DLTHUB_TELEMETRY": "false", "RUNTIME__LOG_LEVEL": "ERROR",
     "DATA_WRITER__DISABLE_COMPRESSION": "true"}
)  # fmt: skip
import dlt  # noqa: E402
from dlt.sources.sql_database import sql_table  # noqa: E402

rows = sql_table(
    credentials=url,
    table=table,
    backend=backend,
    chunk_size=10_000,
    incremental=dlt.sources.incremental("DateTStamp"),
)
pipeline = dlt.pipeline(
    "peer",
    destination=dlt.destinations.filesystem(bucket_url=f"file://{folder}/out"),
    dataset_name="practice",
    pipelines_dir=f"{folder}/state",
)
pipeline.run(rows, write_disposition="append", loader_file_format="jsonl")
