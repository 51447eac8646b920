"""Health, doctor, logs, messages. Must not import drivers, runtime or gui."""
