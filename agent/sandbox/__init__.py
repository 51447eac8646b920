"""A reference CRM and a sample practice: the two worlds the agent stands between, in miniature.

Must not import the engine, the journal or the runtime.
"""
