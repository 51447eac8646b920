"""``bridgework map``: exit codes, findings in words and JSON, and the exports."""

from __future__ import annotations

import json
from html.parser import HTMLParser
from pathlib import Path

import msgspec
import pytest
from click.testing import CliRunner, Result

from agent.cli import main
from agent.errors import ExitCode
from agent.model.reading import SourceFacts, TableFacts
from agent.model.streams import Stream
from agent.sync.datamap import MAPS, DataMap, load_map
from agent.sync.maprows import COLUMNS
from tests.sync.mapsite import facts_of


def _run(home: Path, *arguments: str) -> Result:
    return CliRunner().invoke(main, ["--home", str(home), *arguments])


def _save(facts: SourceFacts, path: Path) -> str:
    path.write_bytes(msgspec.json.encode(facts))
    return str(path)


def _without(facts: SourceFacts, table: str, column: str) -> SourceFacts:
    kept = {n: t for n, t in facts.tables[table].columns.items() if n != column}
    return msgspec.structs.replace(facts, tables={**facts.tables, table: TableFacts(kept)})


@pytest.fixture(scope="module")
def facts() -> SourceFacts:
    return facts_of(load_map("opendental"))


def test_a_site_that_fits(tmp_path: Path, facts: SourceFacts) -> None:
    done = _run(tmp_path, "map", "check", "--facts", _save(facts, tmp_path / "facts.json"))
    assert done.exit_code == ExitCode.OK, done.output
    assert "Every stream can be read." in done.stdout
    assert all(stream.value in done.stdout for stream in Stream)


def test_a_note_is_counted_and_listed_on_request(tmp_path: Path, facts: SourceFacts) -> None:
    saved = _save(_without(facts, "appointment", "Priority"), tmp_path / "facts.json")
    short = _run(tmp_path, "map", "check", "--facts", saved)
    assert short.exit_code == ExitCode.OK
    assert "1 missing" in short.stdout
    assert "1 notes need no attention" in short.stdout
    assert "map.column_missing" not in short.stdout
    long = _run(tmp_path, "map", "check", "--notes", "--facts", saved)
    assert "appointment has no column Priority" in long.stdout


def test_a_stream_that_cannot_be_read_fails_the_check(tmp_path: Path, facts: SourceFacts) -> None:
    saved = _save(_without(facts, "recall", "DateDue"), tmp_path / "facts.json")
    done = _run(tmp_path, "map", "check", "--facts", saved)
    assert done.exit_code == ExitCode.FAILED
    assert "CANNOT BE READ" in done.stdout
    assert "1 of 19 streams cannot be read." in done.stdout
    told = _run(tmp_path, "map", "check", "--json", "--facts", saved)
    assert told.exit_code == ExitCode.FAILED
    body = json.loads(told.stdout)
    assert body["streams"]["recall"] == {"readable": False, "columns": []}
    assert "appointment.AptDateTime" in body["streams"]["appointment"]["columns"]
    assert [f["code"] for f in body["findings"]] == ["map.required_missing"]


@pytest.mark.parametrize("content", [None, b"{]"])
def test_a_probe_that_cannot_be_read(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "facts.json"
    if content is not None:
        path.write_bytes(content)
    done = _run(tmp_path, "map", "check", "--facts", str(path))
    assert done.exit_code == ExitCode.USAGE
    assert "facts.json" in done.stderr


def test_a_wrong_site_map_is_named_by_file_and_row(tmp_path: Path, facts: SourceFacts) -> None:
    site = tmp_path / "site.csv"
    site.write_text(
        ",".join(COLUMNS) + "\npatient,shoe,text,patient,S,int,text,to_crm,pms,pms,,,,\n"
    )
    done = CliRunner().invoke(
        main,
        ["--home", str(tmp_path), "--set", f"map.file={site}", "map", "check", "--facts",
         _save(facts, tmp_path / "facts.json")],
    )  # fmt: skip
    assert done.exit_code == ExitCode.USAGE
    assert "site.csv, line 2" in done.stderr


def test_the_csv_export_is_the_map(tmp_path: Path) -> None:
    done = _run(tmp_path, "map", "export")
    assert done.exit_code == 0, done.output
    shipped = (MAPS / "opendental.csv").read_text(encoding="utf-8")
    assert done.stdout == shipped
    out = tmp_path / "map.csv"
    assert _run(tmp_path, "map", "export", "--out", str(out)).exit_code == 0
    again = DataMap.load(out.read_text(encoding="utf-8"))
    assert [row.cells() for row in again.rows] == [r.cells() for r in load_map("opendental").rows]


class _Page(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.streams: list[str] = []
        self.rows = 0
        self.outside: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        named = dict(attrs)
        if tag not in {"meta", "input", "col", "wbr"}:
            self.open.append(tag)
        if tag == "section" and named.get("data-stream"):
            self.streams.append(str(named["data-stream"]))
        self.rows += tag == "tr"
        self.outside += [
            v for n, v in attrs if n in {"src", "href"} and v and not v.startswith("#")
        ]

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_the_page_holds_every_row_and_needs_nothing_else(tmp_path: Path) -> None:
    out = tmp_path / "map.html"
    done = _run(tmp_path, "map", "export", "--format", "html", "--out", str(out))
    assert done.exit_code == 0, done.output
    page = _Page()
    page.feed(out.read_text(encoding="utf-8"))
    assert page.open == []
    assert page.streams == [stream.value for stream in Stream]
    assert page.rows == len(load_map("opendental").rows) + len(Stream)
    assert page.outside == []
