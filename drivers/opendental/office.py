"""What a writer must know of the office before it writes: definitions, preferences, single rows.

Reads through a read-only session of any kind (``drivers.base.Session``); every value arrives as
text. Nothing is written here. Must not import a database or HTTP library.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec

from agent.errors import PmsUnavailable
from agent.model.commands import Reason
from agent.model.reading import SourceFacts
from drivers.base import Row, RowTrouble, Session
from drivers.opendental.facts import version_tuple
from drivers.opendental.spelling import WallClock, category_of, key_of, refused
from drivers.sqltext import quoted, text_literal

CONFIRMED, BILLING, RECALL_STATUS, IMAGE_CATEGORY, COMM_TYPE = 2, 4, 13, 18, 27
_ALL_MESSAGES = 1  # CommOptOutType
PICK_LIST, CHECKBOX = 1, 3  # patfielddef.FieldType; apptfielddef knows 0 and 1

# The preference whose definition is meant when a category has several; it must mean it by name too.
_MEANT = {
    "confirmed": "ApptEConfirmStatusAccepted",
    "declined": "ApptEConfirmStatusDeclined",
    "contacted": "ApptEConfirmStatusSent",
    "arrived": "AppointmentTimeArrivedTrigger",
    "seated": "AppointmentTimeSeatedTrigger",
}


class Definition(msgspec.Struct, frozen=True):
    """A row of ``definition``: the practice's own name of something, and the program's tag."""

    number: int
    name: str
    tag: str


class CustomField(msgspec.Struct, frozen=True):
    """A field the office defined. ``choices`` of a pick list; empty: any text."""

    name: str
    kind: int
    choices: tuple[str, ...] = ()


class Office:
    """One office as a writer sees it. Not thread-safe. Raises the Pms errors."""

    def __init__(self, session: Session, facts: SourceFacts, *, region: str = "US") -> None:
        self.version = version_tuple(facts.version)
        self.region = region
        self.clock = WallClock(facts.zone)
        self._tables = facts.tables
        self._session = session
        self._definitions: dict[int, tuple[Definition, ...]] = {}

    def close(self) -> None:
        self._session.close()

    @property
    def hashes_rows(self) -> bool:
        """The program signs its rows: what a stranger writes is shown to the office as such."""
        return any("SecurityHash" in table.columns for table in self._tables.values())

    # --- rows -------------------------------------------------------------------------------

    def rows(self, sql: str) -> Sequence[Row]:
        try:
            return self._session.rows(sql)
        except RowTrouble:
            raise PmsUnavailable("pms.error") from None

    def row(
        self, table: str, key_column: str, key: object, columns: Sequence[str]
    ) -> dict[str, str] | None:
        """Some columns of one row as text, None when it is not there."""
        names = ",".join(map(quoted, columns))
        found = self.rows(
            f"SELECT {names} FROM {quoted(table)} WHERE {quoted(key_column)}={key_of(key)} LIMIT 1"
        )
        if not found:
            return None
        return {n: "" if v is None else str(v) for n, v in zip(columns, found[0], strict=True)}

    def preference(self, name: str) -> str:
        """Its text; "" when the office has none of that name."""
        found = self.rows(
            f"SELECT `ValueString` FROM `preference` WHERE `PrefName`={text_literal(name)} LIMIT 1"
        )
        return str(found[0][0] or "") if found else ""

    def preference_number(self, name: str) -> int:
        said = self.preference(name)
        return int(said) if said.lstrip("-").isdigit() else 0

    # --- definitions --------------------------------------------------------------------------

    def definitions(self, category: int) -> tuple[Definition, ...]:
        """Those in use, in the office's order. Read once; a new office is made at each probe."""
        known = self._definitions.get(category)
        if known is None:
            known = tuple(
                Definition(int(number), str(name or ""), str(tag or ""))
                for number, name, tag in self.rows(
                    "SELECT `DefNum`,`ItemName`,`ItemValue` FROM `definition`"
                    f" WHERE `Category`={int(category)} AND `IsHidden`=0"
                    " ORDER BY `ItemOrder`,`DefNum`"
                )
            )
            self._definitions[category] = known
        return known

    def confirmation(self, category: str) -> int:
        """The status (DefNum) that says ``category``: the one the office's own preferences mean,
        else the first whose name says so. Raises WriteRefused."""
        fitting = [d for d in self.definitions(CONFIRMED) if category_of(d.name) == category]
        if not fitting:
            raise refused("write.no_such_confirmation", Reason.NOT_SUPPORTED)
        meant = self.preference_number(_MEANT[category]) if category in _MEANT else 0
        return next((d.number for d in fitting if d.number == meant), fitting[0].number)

    def first_definition(self, category: int) -> int:
        found = self.definitions(category)
        return found[0].number if found else 0

    def definition_named(self, category: int, name: str) -> Definition | None:
        folded = name.strip().casefold()
        return next((d for d in self.definitions(category) if d.name.casefold() == folded), None)

    def tagged(self, category: int, tag: str) -> int:
        """The definition the program itself uses for ``tag``, else the category's first."""
        found = next((d.number for d in self.definitions(category) if d.tag == tag), None)
        return self.first_definition(category) if found is None else found

    # --- custom fields ------------------------------------------------------------------------

    def custom_field(self, table: str, name: str) -> CustomField:
        """The definition with exactly this name. ``table``: patfielddef or apptfielddef. Raises
        WriteRefused when there is none or it is hidden."""
        key = "PatFieldDefNum" if table == "patfielddef" else "ApptFieldDefNum"
        shown = " WHERE `IsHidden`=0" if table == "patfielddef" else ""
        for number, said, kind, choices in self.rows(
            f"SELECT {quoted(key)},`FieldName`,`FieldType`,`PickList` FROM {quoted(table)}{shown}"
        ):
            if str(said or "") != name:
                continue
            listed = tuple(line.strip() for line in str(choices or "").splitlines() if line.strip())
            if int(kind) == PICK_LIST and table == "patfielddef" and not listed:
                listed = self._pick_items(int(number))
            return CustomField(name, int(kind), listed if int(kind) == PICK_LIST else ())
        raise refused("write.custom_field_unknown")

    def _pick_items(self, definition: int) -> tuple[str, ...]:
        """Later versions keep the choices in a table of their own."""
        if self.version < (22, 1):
            return ()
        found = self.rows(
            "SELECT `Name` FROM `patfieldpickitem`"
            f" WHERE `PatFieldDefNum`={definition} AND `IsHidden`=0"
        )
        return tuple(str(name or "") for (name,) in found)

    def custom_rows(
        self, table: str, owner_column: str, owner: object, name: str
    ) -> list[tuple[int, str]]:
        """(key, value) of the rows that hold a custom field; ``table``: patfield or apptfield."""
        key = "PatFieldNum" if table == "patfield" else "ApptFieldNum"
        return [
            (int(number), str(value or ""))
            for number, said, value in self.rows(
                f"SELECT {quoted(key)},`FieldName`,`FieldValue` FROM {quoted(table)}"
                f" WHERE {quoted(owner_column)}={key_of(owner)} ORDER BY {quoted(key)}"
            )
            if str(said or "") == name
        ]

    # --- people and notes ---------------------------------------------------------------------

    def namesake(self, last: str, first: str, birthdate: str) -> int | None:
        """A patient on file with these names and this birth date (``0001-01-01``: none said)."""
        if "\\" in last:
            return None  # no name; and not one a literal may hold
        for number, their_last, their_first in self.rows(
            "SELECT `PatNum`,`LName`,`FName` FROM `patient`"
            f" WHERE `LName`={text_literal(last)} AND `Birthdate`={text_literal(birthdate)}"
            " AND `PatStatus`<>4 ORDER BY `PatNum` LIMIT 50"
        ):
            same = str(their_last or "").casefold() == last.casefold()
            if same and str(their_first or "").casefold() == first.casefold():
                return int(number)
        return None

    def opted_out_of_texts(self, patient: object) -> bool:
        """Whether a row of ``commoptout`` refuses every kind of text message."""
        if "commoptout" not in self._tables:
            return False
        found = self.rows(f"SELECT `OptOutSms` FROM `commoptout` WHERE `PatNum`={key_of(patient)}")
        return any(int(flags or 0) & _ALL_MESSAGES for (flags,) in found)

    def newest_note(self, procedure: object) -> str:
        """The text a procedure's note has now; "" when there is none."""
        found = self.rows(
            f"SELECT `Note` FROM `procnote` WHERE `ProcNum`={key_of(procedure)}"
            " ORDER BY `EntryDateTime` DESC,`ProcNoteNum` DESC LIMIT 1"
        )
        return str(found[0][0] or "") if found else ""


def checked_custom(field: CustomField, value: str) -> str:
    """The value if the office's definition allows it. "" empties the field."""
    if value and field.choices and value not in field.choices:
        raise refused("write.custom_value_invalid")
    if value and field.kind == CHECKBOX and value != "1":
        raise refused("write.custom_value_invalid")
    return value


def custom_values(fields: Mapping[str, object]) -> dict[str, str]:
    """``{"custom": {name: text}}`` -> name -> text; None is "". Nothing else may be in there."""
    said = fields.get("custom")
    if set(fields) != {"custom"} or not isinstance(said, Mapping) or not said:
        raise refused("write.value_invalid")
    made: dict[str, str] = {}
    for name, value in said.items():
        if not isinstance(name, str) or not isinstance(value, str | None):
            raise refused("write.value_invalid")
        made[name] = value or ""
    return made
