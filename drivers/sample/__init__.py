"""Reading the embedded sample practice: Open Dental's layout in one SQLite file."""
