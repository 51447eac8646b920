"""The CRM side of the agent: transport, pairing, and the native CRM Sync API behind ``CrmPort``.

Imports only ``agent.model``, ``agent.errors``, ``agent.ports`` and ``agent.config``; only
``transport`` and ``sockets`` may import the HTTP library.
"""
