"""All tables of the sample practice by name. Imports only the table files beside it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import MappingProxyType

from agent.sandbox.practice.schema import Table, version_of
from agent.sandbox.practice.tables_ledger import LEDGER
from agent.sandbox.practice.tables_office import OFFICE
from agent.sandbox.practice.tables_people import PEOPLE
from agent.sandbox.practice.tables_visits import VISITS

TABLES: Mapping[str, Table] = MappingProxyType(
    {shape.name: shape for shape in (*PEOPLE, *VISITS, *LEDGER, *OFFICE)}
)


def tables_of(version: str) -> Iterable[Table]:
    """The tables a database of this version has."""
    at = version_of(version)
    return (shape for shape in TABLES.values() if shape.since <= at)
