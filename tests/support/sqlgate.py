"""The SQL gate: statements over ODBC stay in the subset that ran right on every engine.

Checked on the parsed tree (one SELECT; a whitelist of constructs) and on the tokens (the parser
renames functions and swallows quotes); columns are held against the contract. A statement may be
spelled with LIMIT for an engine that wants it; it is judged as ``SELECT TOP n``, which is how ours
are written. What c-tree and SQL Anywhere alone know (a server's hash, a clock) is named one by one.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import sqlglot
from sqlglot import exp
from sqlglot.tokens import TokenType

from drivers.odbc import wire
from drivers.odbc.contract import Contract
from drivers.odbc.session import OdbcSession

_NODES: tuple[type[exp.Expression], ...] = (
    exp.Select, exp.From, exp.Where, exp.Order, exp.Ordered, exp.Group, exp.Having, exp.Table,
    exp.TableAlias, exp.Column, exp.Identifier, exp.Alias, exp.Star, exp.Join, exp.Subquery,
    exp.In, exp.Between, exp.Is, exp.Null, exp.Not, exp.And, exp.Or, exp.Paren, exp.EQ, exp.NEQ,
    exp.GT, exp.GTE, exp.LT, exp.LTE, exp.Literal, exp.Placeholder, exp.Cast, exp.DataType,
    exp.DataTypeParam, exp.Count, exp.Sum, exp.Min, exp.Max, exp.Coalesce, exp.Limit, exp.Neg,
    exp.Distinct, exp.Exists, exp.Like,
)  # fmt: skip
_HASH_NODES = (exp.DPipe, exp.Anonymous, exp.Length, exp.MD5)
_CASTS = {"VARCHAR", "CHAR", "DECIMAL", "INT", "SMALLINT"}
_FORBIDDEN_TEXT = ("`", "[", ";", "--", "/*", '"', "{d", "{ts")
_FUNCTIONS = {"COUNT", "SUM", "MIN", "MAX", "COALESCE", "CAST", "LENGTH", "IN", "EXISTS", "VARCHAR",
              "CHAR", "DECIMAL", "AND", "OR", "NOT", "WHERE", "ON", "SELECT", "FROM", "BETWEEN",
              "BY"}  # fmt: skip
_LIMITED = re.compile(r"\ASELECT (?P<rest>.*) LIMIT (?P<n>\d+)\Z", re.DOTALL)
NOW = re.compile(r"\ASELECT TOP 1 \{fn NOW\(\)\} FROM [\w.]+\Z")


class Refused(AssertionError):
    """A statement outside the subset."""


def as_written(sql: str) -> str:
    """With TOP again where an engine was given LIMIT."""
    found = _LIMITED.match(sql)
    return f"SELECT TOP {found['n']} {found['rest']}" if found else sql


def check(sql: str, columns: dict[str, frozenset[str]] | None = None, *, hashes: str = "") -> None:
    """Raises Refused. ``columns``: of every table, lower case, by its bare name. ``hashes``: name
    of the engine's hash function, which alone may stand beside ``||``."""
    if NOW.match(sql):
        return
    uses_hash = bool(hashes) and f"{hashes}(" in sql
    for mark in _FORBIDDEN_TEXT:
        if mark in sql:
            raise Refused(f"{mark!r} in {sql}")
    try:
        trees = sqlglot.parse(sql, read="tsql", error_level=sqlglot.ErrorLevel.RAISE)
    except sqlglot.errors.SqlglotError as error:
        raise Refused(f"not understood ({error}): {sql}") from None
    if len(trees) != 1 or not isinstance(trees[0], exp.Select):
        raise Refused(f"one SELECT only: {sql}")
    _check_tokens(sql, {hashes} if uses_hash else set())
    for node in trees[0].walk():
        _check_node(node, sql, uses_hash=uses_hash)
    if columns is not None:
        _check_columns(trees[0], columns, sql)


def _check_tokens(sql: str, also: set[str]) -> None:
    tokens = sqlglot.tokenize(sql, read="tsql")
    for token, following in itertools.pairwise(tokens):
        if following.token_type is TokenType.L_PAREN and token.text[:1].isalpha():
            name = token.text.upper()
            if name not in _FUNCTIONS | also:
                raise Refused(f"function {name}: {sql}")
        if token.text.upper() in {"DATE", "TIMESTAMP"} and (
            following.token_type is TokenType.STRING
        ):
            raise Refused(f"typed literal: {sql}")


def _check_node(node: exp.Expression, sql: str, *, uses_hash: bool) -> None:
    allowed = (*_NODES, *_HASH_NODES) if uses_hash else _NODES
    if type(node) not in allowed:
        raise Refused(f"{type(node).__name__}: {sql}")
    if isinstance(node, exp.Select):
        if not node.args.get("from_", node.args.get("from")):
            raise Refused(f"SELECT without FROM: {sql}")
        for clause in ("offset", "with_", "with", "windows", "qualify", "locks", "hint"):
            if node.args.get(clause):
                raise Refused(f"{clause}: {sql}")
        if node.args.get("limit") and node.parent is not None:
            raise Refused(f"a limit inside: {sql}")
    derived = isinstance(node, exp.Subquery) and isinstance(node.parent, (exp.From, exp.Join))
    if derived and not node.alias:
        raise Refused(f"derived table without a name: {sql}")
    if isinstance(node, exp.Cast) and node.to.this.name not in _CASTS:
        raise Refused(f"cast to {node.to.sql()}: {sql}")
    if isinstance(node, exp.Join) and (node.args.get("using") or node.side not in {"LEFT", ""}):
        raise Refused(f"join: {sql}")
    if isinstance(node, exp.Literal) and node.is_string and not uses_hash:
        raise Refused(f"a value in the text: {sql}")


def _check_columns(tree: exp.Expression, columns: dict[str, frozenset[str]], sql: str) -> None:
    tables = {t.alias_or_name.lower(): t.name.lower() for t in tree.find_all(exp.Table)}
    for name in tables.values():
        if name not in columns:
            raise Refused(f"table {name} is not in the contract: {sql}")
    outputs = {alias.alias.lower() for alias in tree.find_all(exp.Alias)}
    for column in tree.find_all(exp.Column):
        owner, name = column.table.lower(), column.name.lower()
        if not owner and name in outputs:
            continue
        homes = [tables[owner]] if owner in tables else list(tables.values()) if not owner else []
        if not any(name in columns[home] for home in homes):
            raise Refused(f"column {owner}.{name} is not in the contract: {sql}")


def columns_of(contract: Contract) -> dict[str, frozenset[str]]:
    """Every place of the contract by its bare name, with the columns it may be asked for."""
    found: dict[str, set[str]] = {}
    for table in contract.tables:
        places = [(p.table, p.real) for p in table.places] or [(table.name, str)]
        for name, real in places:
            declared = {real(column.name).lower() for column in table.columns}
            found.setdefault(name.lower(), set()).update(declared)
    return {name: frozenset(held) for name, held in found.items()}


def texts_of(request: wire.Request) -> Iterable[str]:
    """Every statement a request will run."""
    match request:
        case wire.Fetch():
            yield request.sql
            for gather in request.gathers:
                yield from filter(None, (gather.sql_range, gather.sql_among))
        case wire.Query() | wire.Keys():
            yield request.sql


class Gate:
    """Stands before every connection while a test runs, and counts what passed."""

    def __init__(self) -> None:
        self.passed: set[str] = set()
        self._contracts: list[Contract] = []

    def watch(self, contract: Contract) -> None:
        self._contracts.append(contract)

    def judge(self, request: wire.Request) -> None:
        for text in texts_of(request):
            sql = as_written(text)
            if sql not in self.passed and not any(sql in c.clock for c in self._contracts):
                _judge(sql, tuple(self._contracts))
            self.passed.add(sql)


def _judge(sql: str, contracts: tuple[Contract, ...]) -> None:
    if not contracts:
        check(sql)
        return
    refusals = []
    for contract in contracts:
        hashes = contract.server_hash.template.partition("(")[0] if contract.server_hash else ""
        try:
            check(sql, columns_of(contract), hashes=hashes)
        except Refused as refused:
            refusals.append(refused)
        else:
            return
    raise refusals[0]


@contextmanager
def gated() -> Iterator[Gate]:
    """Every statement of every session passes the gate, or the test fails."""
    gate = Gate()
    honest = OdbcSession.ask
    from drivers.odbc.source import OdbcSource

    probing = OdbcSource.probe

    def ask(self: OdbcSession, request: wire.Request, *rest: Any, **more: Any) -> wire.Reply:
        gate.judge(request)
        return honest(self, request, *rest, **more)

    def probe(self: OdbcSource) -> Any:
        gate.watch(self.contract)
        return probing(self)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(OdbcSession, "ask", ask)
        patch.setattr(OdbcSource, "probe", probe)
        yield gate
