"""Dentrix G5 to G7 and later (FairCom c-treeACE SQL), read over ODBC."""
