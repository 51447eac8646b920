"""The ODBC room on real drivers and servers."""
