"""The manual fallback and support's tools at work: files, jobs, CSV out and in, outages.

Part of the composition root's room: knows journal, sync, crm and support.
"""
