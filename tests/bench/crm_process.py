"""The reference CRM as a process of its own: ``python -m tests.bench.crm_process DB [PORT] [URL]``.

``URL``: how agents reach it, where something stands in between. Prints its address and a pairing
code on one line, then serves until it is told to stop. Faults are armed through its testing door
(``TEST_TOKEN``).
"""

from __future__ import annotations

import json
import sys
from contextlib import closing
from pathlib import Path

from agent.sandbox.crm import CrmServer
from agent.sandbox.crm.accounts import issue_code
from agent.sandbox.crm.core import CrmSettings
from agent.sandbox.crm.schema import connect

TEST_TOKEN = "bench-only"


def main() -> None:
    db = Path(sys.argv[1])
    port = int(sys.argv[2]) if len(sys.argv) > 2 else 0
    issuer = sys.argv[3] if len(sys.argv) > 3 else ""
    settings = CrmSettings(test_token=TEST_TOKEN, issuer=issuer)
    server = CrmServer(db, port=port, settings=settings)
    with closing(connect(db)) as store:
        code = issue_code(store)
    print(json.dumps({"url": server.url, "code": code}), flush=True)
    server.serve_forever()


if __name__ == "__main__":
    main()
