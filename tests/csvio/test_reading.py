"""Files as CRMs, Excel and people make them: read whole, row by row, or refused with a reason."""

from __future__ import annotations

import io
import tracemalloc
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from agent.csvio.cells import heard, is_scientific, told
from agent.csvio.heads import HeadsError, Kind, kind_of, match
from agent.csvio.reading import SheetError, look, rows
from agent.csvio.writing import sheet

TEXT = 'Patient No;Last Name;Note\r\n1;Bergström;"a; b\nc"\r\n\r\n2;Peña;\r\n'


@pytest.mark.parametrize(
    ("content", "encoding"),
    [
        (TEXT.encode("utf-8"), "utf-8"),
        (TEXT.encode("utf-8-sig"), "utf-8-sig"),
        (TEXT.encode("utf-16"), "utf-16"),
        (TEXT.encode("utf-16-le"), "utf-16-le"),
        (TEXT.encode("utf-16-be"), "utf-16-be"),
        (TEXT.encode("cp1252"), "cp1252"),
    ],
)
def test_every_encoding_gives_the_same_rows(content: bytes, encoding: str) -> None:
    file = io.BytesIO(content)
    shape = look(file)
    assert (shape.encoding, shape.delimiter) == (encoding, ";")
    assert shape.heads == ("Patient No", "Last Name", "Note")
    found = [(line.number, line.cells) for line in rows(file, shape)]
    # Numbered by rows of the sheet, heads first, the blank one counted.
    assert found == [(2, ("1", "Bergström", "a; b\nc")), (4, ("2", "Peña", ""))]


@pytest.mark.parametrize("sign", [",", ";", "\t", "|"])
def test_the_delimiter_is_found(sign: str) -> None:
    lines = [sign.join(("Last Name", "First Name", "Zip")), sign.join(("Doe", "Ann", "02134"))]
    assert look(io.BytesIO("\n".join(lines).encode())).delimiter == sign


def test_excels_own_line_about_the_delimiter_is_heeded() -> None:
    file = io.BytesIO(b"sep=|\r\nLast Name|First Name\r\nDoe, Ann|x\r\n")
    shape = look(file)
    assert (shape.delimiter, shape.heads) == ("|", ("Last Name", "First Name"))
    assert [(line.number, line.cells) for line in rows(file, shape)] == [(3, ("Doe, Ann", "x"))]


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (b"", "sheet.empty"),
        (b"\xef\xbb\xbf \r\n", "sheet.empty"),
        (b"PK\x03\x04\x00\x00\x00\x08\x00\x21" + b"\x00\x01" * 40 + b"x" * 9, "sheet.not_text"),
    ],
)
def test_what_is_no_sheet_is_refused(content: bytes, code: str) -> None:
    with pytest.raises(SheetError) as refused:
        look(io.BytesIO(content))
    assert refused.value.code == code


def test_a_bad_row_costs_itself_alone() -> None:
    bad = "x" * 150_000
    content = f'a,b\n1,2\n3,4,5\n"{bad}\n6,7\n'.encode() + b"\xff\xfe,9\n8,9\n"
    file = io.BytesIO(content)
    found = {line.number: line.code for line in rows(file, look(file, encoding="utf-8"))}
    assert found[2] == ""
    assert found[3] == "sheet.row_wide"
    assert "sheet.row_broken" in found.values()
    file = io.BytesIO(b"a,b\n\xff\xfe,9\n8,9\n")
    codes = [line.code for line in rows(file, look(file, encoding="utf-8"))]
    assert codes == ["sheet.row_unreadable", ""]


def test_excels_marks_are_undone() -> None:
    assert heard('="02134"') == "02134"
    assert heard("'=1+1") == "=1+1"
    assert heard("'02134") == "02134"
    assert heard("\u00a0Doe ") == "Doe"
    assert is_scientific("5.55E+09")
    assert not is_scientific("E05")


@pytest.mark.parametrize(
    "text", ["=HYPERLINK(1)", "+cmd|'/C calc'!A0", "-2+3", "@SUM(1)", "\t=1", " =1", "\uff1d1"]
)
def test_nothing_that_a_spreadsheet_would_run_is_written(text: str) -> None:
    for excel in (True, False):
        cell = told(text, excel=excel)
        assert cell.startswith("'")
        assert heard(cell) == text.strip()


def test_what_excel_would_mangle_is_kept_as_text() -> None:
    assert told("02134") == '="02134"'
    assert told("+17205550170") == '="+17205550170"'
    assert told("3/4") == '="3/4"'
    assert told("02134", excel=False) == "02134"
    assert told("+17205550170", excel=False) == "+17205550170"


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(st.tuples(*[st.text(max_size=20)] * 3), min_size=1, max_size=8), st.booleans())
def test_what_is_written_is_read_back(cells: list[tuple[str, str, str]], excel: bool) -> None:
    """Up to what no cell can hold: control signs, white space around."""
    heads = ("last_name", "first_name", "note")
    records = [dict(zip(heads, row, strict=True)) for row in cells]
    content = b"".join(sheet(heads, records, excel=excel))
    file = io.BytesIO(content)
    shape = look(file, encoding="utf-8-sig" if excel else "utf-8", delimiter=",")
    found = [line.cells for line in rows(file, shape) if not line.code]
    expected = [tuple(_plain(cell) for cell in row) for row in cells]
    assert found == [row for row in expected if any(row)]


def _plain(text: str) -> str:
    return heard(told(text, excel=False))


def test_times_are_the_practices_for_a_person_and_instants_for_a_program() -> None:
    record = {"key": "1", "start": "2026-03-02T14:30:00Z", "emails": ["a@x.example"], "ok": True}
    heads = ("key", "start", "emails", "ok")
    person = b"".join(sheet(heads, [record], excel=True, zone="America/New_York")).decode()
    program = b"".join(sheet(heads, [record], excel=False, zone="America/New_York")).decode()
    assert "1,2026-03-02 09:30,a@x.example,yes" in person
    assert "1,2026-03-02T14:30:00Z,a@x.example,yes" in program


# --- heads ----------------------------------------------------------------------------------------


def test_heads_are_found_by_the_names_people_use() -> None:
    found = match(
        ("PatNum", "Apellido", "Nombre", "Date of Birth", "Teléfono móvil", "Zip", "Owner")
    )
    assert found.kind is Kind.PATIENTS
    assert found.fields == {
        "key": 0, "last_name": 1, "first_name": 2, "birthdate": 3, "phone_mobile": 4,
        "postal_code": 5,
    }  # fmt: skip
    assert found.unused == ("Owner",)
    assert kind_of(("Patient No", "Start", "Minutes")) is Kind.APPOINTMENTS
    assert kind_of(("Amount", "Currency")) is None


def test_what_a_person_says_about_columns_comes_first() -> None:
    heads = ("Phone", "Other phone", "Last name", "First name")
    found = match(heads, None, {"Phone": "", "Other phone": "phone_mobile"})
    assert found.fields["phone_mobile"] == 1
    assert match(heads, None, {"Phone": "custom.Fax"}).fields["custom.Fax"] == 0
    for given_, code in (
        ({"Fax": "phone_home"}, "sheet.no_such_head"),
        ({"Phone": "shoe_size"}, "sheet.no_such_field"),
        ({"Phone": "phone_home", "Other phone": "phone_home"}, "sheet.twice"),
    ):
        with pytest.raises(HeadsError) as refused:
            match(heads, None, given_)
        assert refused.value.code == code
    with pytest.raises(HeadsError) as refused:
        match(("City", "Zip", "Street"))
    assert refused.value.code == "sheet.nobody"


def test_memory_stays_flat(tmp_path: Path) -> None:
    path = tmp_path / "large.csv"
    with path.open("w") as out:
        out.write("Patient No,Last Name,First Name,Email\n")
        out.writelines(f"{n},Doe,Ann{n},a{n}@x.example\n" for n in range(60_000))
    with path.open("rb") as file:
        shape = look(file)
        tracemalloc.start()
        count = sum(1 for _ in rows(file, shape))
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    assert count == 60_000
    assert peak < 3_000_000
