"""Builds the Windows installer on Linux. Standard library and command line tools only."""
