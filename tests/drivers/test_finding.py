"""What can be seen from this computer: files, data sources, folders, services."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from drivers.finding import _services, find_systems

XML = """<ConnectionSettings><DatabaseConnection><ComputerName>SRV1:3307</ComputerName>
<Database>opendental</Database><User>office</User><Password>hunter2</Password>
</DatabaseConnection></ConnectionSettings>"""


def test_open_dental_by_its_own_file(tmp_path: Path) -> None:
    (tmp_path / "FreeDentalConfig.xml").write_text(XML, encoding="utf-8")
    (found,) = find_systems([str(tmp_path)], data_sources=dict, services=list, places=())
    assert (found.kind, found.how) == ("opendental", "setup.found_file")
    assert found.settings["pms.host"] == "SRV1"
    assert found.settings["pms.port"] == 3307
    assert found.password == "hunter2"
    assert "hunter2" not in repr(found)
    assert "pms.password" not in found.settings


def test_others_by_data_source_folder_and_service(tmp_path: Path) -> None:
    sources = {"PracticeData": "Dentrix c-treeACE ODBC Driver", "Other": "PostgreSQL Unicode"}
    found = find_systems(
        [],
        data_sources=lambda: sources,
        services=lambda: ["Eaglesoft Service", "Print Spooler"],
        places=(("eaglesoft", str(tmp_path / "nothing")),),
    )
    assert [(f.kind, f.how, f.where) for f in found] == [
        ("dentrix", "setup.found_dsn", "PracticeData"),
        ("eaglesoft", "setup.found_service", "Eaglesoft Service"),
    ]


def test_a_file_that_says_nothing_is_told_as_such(tmp_path: Path) -> None:
    (tmp_path / "FreeDentalConfig.xml").write_text("<a/>", encoding="utf-8")
    (found,) = find_systems([str(tmp_path)], data_sources=dict, services=list, places=())
    assert found.settings == {}
    assert found.findings[0].code == "pms.config_invalid"


def test_looking_here_breaks_nothing() -> None:
    assert isinstance(find_systems(), list)


@pytest.mark.skipif(sys.platform != "win32", reason="the registry of Windows")
def test_data_sources_of_both_word_sizes_and_services_are_seen() -> None:
    """In the registry's two halves, as the two ODBC administrators of Windows write them."""
    import winreg

    halves = {"BwSmall": winreg.KEY_WOW64_32KEY, "BwLarge": winreg.KEY_WOW64_64KEY}
    place = r"SOFTWARE\ODBC\ODBC.INI\ODBC Data Sources"
    for name, half in halves.items():
        access = winreg.KEY_SET_VALUE | half
        with winreg.CreateKeyEx(winreg.HKEY_LOCAL_MACHINE, place, 0, access) as key:
            winreg.SetValueEx(key, name, 0, winreg.REG_SZ, "Dentrix c-treeACE ODBC Driver")
    try:
        seen = {found.where for found in find_systems([], places=())}
        assert halves.keys() <= seen
        assert list(_services())
    finally:
        for name, half in halves.items():
            access = winreg.KEY_SET_VALUE | half
            with winreg.OpenKey(winreg.HKEY_LOCAL_MACHINE, place, 0, access) as key:
                winreg.DeleteValue(key, name)
