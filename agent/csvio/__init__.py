"""Manual fallback: export and dry-run import. Must not import drivers, runtime or gui."""
