"""The control channel: protocol, server, client. May import agent.model and agent.errors only.

The window and the command line are its clients; what can be asked stands in ``agent.model.desk``
and is answered by ``agent.runtime.desk``.
"""
