"""Reading over ODBC: a contract per practice system, a killable child process per connection."""
