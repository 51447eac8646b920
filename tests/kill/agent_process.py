"""``bridgework`` beside an API that works on a request for fewer seconds than the vendor's (60).

After a lost answer the agent believes that a write did not happen only when the API can no longer
be at it. With the vendor's limit most of a lane's time would be this wait; the stand-in gives up
(504) after the seconds that stand first on the command line. Nothing else of the agent is changed.
"""

from __future__ import annotations

import sys

from agent.cli import main
from agent.sync.writerline import WINDOW_S

if __name__ == "__main__":
    WINDOW_S["api"] = float(sys.argv.pop(1)) + 5.0  # the vendor's limit is given as much more
    main(prog_name="bridgework")
