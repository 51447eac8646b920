"""Canonical words and shapes. A leaf: no I/O, imports nothing of ours."""
