"""Writing straight into the database of an Open Dental too old for its API.

Only where the schema has no row hash (before 21.4) and IT switched it on. Shared with the sample
practice, which has the same layout. Never touches money and never sets work complete.
"""
