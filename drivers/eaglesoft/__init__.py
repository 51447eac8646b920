"""Eaglesoft 18 and later (SAP SQL Anywhere), read over ODBC."""
