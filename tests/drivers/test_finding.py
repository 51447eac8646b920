"""What can be seen from this computer: files, data sources, folders, services."""

from __future__ import annotations

from pathlib import Path

from drivers.finding import find_systems

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
