"""What wixl cannot author, said in the installer's own tables with msibuild; and reading them back.

Every statement here is proved by tests that read the finished file.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from installer.steps import BuildError, call, need

SECRET = "ACTIVATIONCODE"
APP_ID = "Bridgework.Tray"  # as gui/single.py names itself; notifications go by it
#: Properties IT may set; the installer passes only these on to its elevated half.
PUBLIC = (
    "ACTIVATIONCODE", "SERVERURL", "INSTALLFOLDER", "DATAFOLDER", "PMS", "TRAYAUTOSTART",
    "NOLAUNCH", "PROXY", "MODE", "ANSWERS", "PURGEDATA",
)  # fmt: skip
_HIDE_TARGET = 8192  # msidbCustomActionTypeHideTarget: the command line stays out of the log
_PERMANENT = 16  # msidbComponentAttributesPermanent
_MAX_INCLUSIVE = 512  # msidbUpgradeAttributesVersionMaxInclusive
_AUTOSTART = 'NOT TRAYAUTOSTART OR TRAYAUTOSTART = "1"'
_NOT_SINGLE_USER = 'NOT MODE OR MODE = "service"'


@dataclass(frozen=True, slots=True)
class Table:
    """``columns`` and ``rows`` of one table of an MSI, all as text."""

    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]

    def by(self, column: str) -> dict[str, dict[str, str]]:
        """Rows by the value of one column."""
        at = self.columns.index(column)
        return {row[at]: dict(zip(self.columns, row, strict=True)) for row in self.rows}


def read_table(msi: Path, name: str) -> Table:
    """BuildError where the table is missing."""
    said = call([need("msiinfo", "msitools"), "export", msi, name], f"read table {name}")
    lines = said.replace("\r", "").split("\n")
    columns = tuple(lines[0].split("\t"))
    rows = tuple(
        (*line.split("\t"), *([""] * (len(columns) - len(line.split("\t")))))
        for line in lines[3:]
        if line
    )
    return Table(columns, rows)


def table_names(msi: Path) -> set[str]:
    return set(call([need("msiinfo", "msitools"), "tables", msi], "list the tables").split())


def patch(msi: Path) -> None:
    """Secure and hidden properties, the secret's command line, single-user mode, the folder that
    stays, the shortcut's name to Windows, and that the same version of another build replaces this
    one."""
    detected = read_table(msi, "Upgrade").by("ActionProperty")
    secure = ";".join((*PUBLIC, *sorted(detected)))
    kinds = read_table(msi, "CustomAction").by("Action")
    secretive = int(kinds["SetUp"]["Type"]) | _HIDE_TARGET
    components = read_table(msi, "Component").by("Component")
    stays = int(components["CmpData"]["Attributes"]) | _PERMANENT
    older = detected["WIX_UPGRADE_DETECTED"]
    reach = int(older["Attributes"]) | _MAX_INCLUSIVE
    statements = [
        f"UPDATE `Component` SET `Attributes`={stays} WHERE `Component`='CmpData'",
        f"UPDATE `Component` SET `Condition`='{_AUTOSTART}' WHERE `Component`='CmpRun'",
        # The attributes are part of that table's key: the row is written anew.
        "DELETE FROM `Upgrade` WHERE `ActionProperty`='WIX_UPGRADE_DETECTED'",
        "INSERT INTO `Upgrade` (`UpgradeCode`,`VersionMax`,`Attributes`,`ActionProperty`) VALUES"
        f" ('{older['UpgradeCode']}','{older['VersionMax']}',{reach},'WIX_UPGRADE_DETECTED')",
        *_property(msi, "SecureCustomProperties", secure),
        *_property(msi, "MsiHiddenProperties", f"{SECRET};SetUp"),
        f"UPDATE `CustomAction` SET `Type`={secretive} WHERE `Action`='SetUp'",
        # wixl versions differ; later, the old version's removal could take new files with it.
        "UPDATE `InstallExecuteSequence` SET `Sequence`=1401"
        " WHERE `Action`='RemoveExistingProducts'",
        *(
            f"UPDATE `InstallExecuteSequence` SET `Condition`='{_NOT_SINGLE_USER}'"
            f" WHERE `Action`='{action}'"
            for action in ("InstallServices", "StartServices")
        ),
    ]
    statements += [
        "CREATE TABLE `MsiShortcutProperty` (`MsiShortcutProperty` CHAR(72) NOT NULL,"
        " `Shortcut_` CHAR(72) NOT NULL, `PropertyKey` CHAR(255) NOT NULL,"
        " `PropVariantValue` CHAR(255) NOT NULL PRIMARY KEY `MsiShortcutProperty`)",
        "INSERT INTO `MsiShortcutProperty` (`MsiShortcutProperty`,`Shortcut_`,`PropertyKey`,"
        f"`PropVariantValue`) VALUES ('TrayId','ShortcutTray','System.AppUserModel.ID','{APP_ID}')",
    ]
    for statement in statements:
        call([need("msibuild", "msitools"), msi, "-q", statement], "patch a table")


def _property(msi: Path, name: str, value: str) -> list[str]:
    if name in read_table(msi, "Property").by("Property"):
        return [f"UPDATE `Property` SET `Value`='{value}' WHERE `Property`='{name}'"]
    return [f"INSERT INTO `Property` (`Property`,`Value`) VALUES ('{name}','{value}')"]


def fill_versions(msi: Path, sources: dict[str, Path], scratch: Path) -> int:
    """Give every program and library its version: without it an upgrade may keep the old file, or
    lose it. How many have one."""
    from pefile import PE, PEFormatError

    said = call([need("msiinfo", "msitools"), "export", msi, "File"], "read table File")
    lines = said.replace("\r", "").split("\n")
    columns = lines[0].split("\t")
    key, version, language = (columns.index(c) for c in ("File", "Version", "Language"))
    count = 0
    for at, line in enumerate(lines[3:], 3):
        cells = line.split("\t")
        source = sources.get(cells[key])
        if source is None or source.suffix.lower() not in {".exe", ".dll", ".pyd"}:
            continue
        cells += [""] * (len(columns) - len(cells))
        try:
            with PE(str(source), fast_load=True) as image:
                image.parse_data_directories([2])  # resources
                fixed = getattr(image, "VS_FIXEDFILEINFO", None)
        except PEFormatError:
            raise BuildError(f"{source.name} is no Windows program.") from None
        if fixed:
            cells[version] = _dotted(fixed[0].FileVersionMS, fixed[0].FileVersionLS)
            cells[language] = "1033"
            lines[at] = "\t".join(cells)
            count += 1
    idt = scratch / "File.idt"
    idt.write_text("\r\n".join(lines), newline="")
    call([need("msibuild", "msitools"), msi, "-i", idt], "write the file versions")
    return count


def _dotted(high: int, low: int) -> str:
    return ".".join(str(part) for part in (high >> 16, high & 0xFFFF, low >> 16, low & 0xFFFF))


def product_code(msi: Path) -> str:
    code = read_table(msi, "Property").by("Property")["ProductCode"]["Value"]
    if not re.fullmatch(r"\{[0-9A-F-]{36}\}", code):
        raise BuildError(f"The product code {code} is not in capitals.")
    return code
