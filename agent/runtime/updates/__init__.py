"""Updates of the agent itself: looked for by the agent, installed by a helper with more rights.

    seal      is this offer signed by the product's key?          pure
    decide    what is to be done now, and said                    pure
    health    does the new version work as well as the old?       pure
    watch     install, look, keep or take back; survives restarts pure, over a port
    looking   the agent's side: asks, downloads, says

The other side, with the system's rights, is ``agent.runtime.windows.helper``. It believes nothing
the agent says: it verifies the same seal over its own copy.
"""
