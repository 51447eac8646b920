"""Sample practices in the layouts of Dentrix and Eaglesoft: the same made-up office, poured over.

Only tables and columns that public sources name (``assets/maps``). Where a vendor's view shows more
than the known columns of its base table, the base table has columns called ``standin_...`` for it:
nothing reads those but the view. Imported by nobody but the sandbox's command line and tests.
"""
