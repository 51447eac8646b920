"""What practice IT relies on, read from the finished file's tables. Needs no Windows, no Wine."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from agent.config.registry import PROPERTIES
from agent.runtime.windows import HELPER
from gui.single import APP_ID
from installer.msi import REMEMBERED, build_msi, fragment
from installer.pins import load_pins
from installer.steps import BuildError
from installer.tables import PUBLIC, SECRET, read_table, table_names

#: Tables that do badly what our own program does, or that nothing here may need.
FORBIDDEN = {
    "MsiServiceConfig", "MsiServiceConfigFailureActions", "MsiLockPermissionsEx", "LockPermissions",
    "SelfReg", "ODBCDriver", "ODBCDataSource", "Font", "Patch", "BindImage",
}  # fmt: skip


def test_the_service_is_there_with_its_own_account_and_waits_for_the_network(msi: Path) -> None:
    service = read_table(msi, "ServiceInstall").by("Name")["Bridgework"]
    assert service["StartName"] == r"NT SERVICE\Bridgework"
    assert service["StartType"] == "2"  # automatic; our own program makes it a delayed one
    assert service["Dependencies"].startswith("Tcpip")
    assert service["Arguments"] == '--home "[DATAFOLDER]." service run'
    control = read_table(msi, "ServiceControl").by("Name")["Bridgework"]
    event = int(control["Event"])
    assert event & 0x1, "started by the install"
    assert event & 0x2, "stopped before files are replaced"
    assert event & 0x20, "stopped by the uninstall"
    assert event & 0x80, "deleted by the uninstall"
    assert control["Wait"] == "1"


def test_updates_are_begun_by_a_service_of_the_systems_that_never_starts_by_itself(
    msi: Path,
) -> None:
    services = read_table(msi, "ServiceInstall").by("Name")
    assert set(services) == {"Bridgework", HELPER}, "the watch is made when it is needed"
    helper = services[HELPER]
    assert helper["StartName"] in {"", "LocalSystem"}
    assert helper["StartType"] == "3"  # on demand
    assert helper["Arguments"] == '--home "[DATAFOLDER]." service update', "no word of anybody's"
    event = int(read_table(msi, "ServiceControl").by("Name")[HELPER]["Event"])
    assert not event & 0x1
    assert event & (0x2 | 0x20 | 0x80) == 0x2 | 0x20 | 0x80, "stopped and deleted with the rest"


def test_a_version_that_makes_way_watches_the_next_and_an_uninstall_leaves_no_way_back(
    msi: Path,
) -> None:
    actions = read_table(msi, "CustomAction").by("Action")
    order = read_table(msi, "InstallExecuteSequence").by("Action")
    assert order["StandBy"]["Condition"] == (
        'UPGRADINGPRODUCTCODE AND (NOT MODE OR MODE = "service")'
    )
    assert order["Forget"]["Condition"] == 'REMOVE = "ALL" AND NOT UPGRADINGPRODUCTCODE'
    at = {name: int(row["Sequence"]) for name, row in order.items()}
    assert at["InstallInitialize"] < at["StandBy"] < at["StopServices"], "while the agent answers"
    assert at["DeleteServices"] < at["Forget"] < at["RemoveFiles"]
    assert '--msi "[OriginalDatabase]"' in actions["Prepare"]["Target"]


def test_an_update_says_to_the_next_installer_what_was_said_to_this_one() -> None:
    assert {value: name for name, value in REMEMBERED.items()} == PROPERTIES


def test_every_property_of_it_reaches_the_elevated_half_and_the_code_stays_hidden(
    msi: Path,
) -> None:
    properties = read_table(msi, "Property").by("Property")
    secure = set(properties["SecureCustomProperties"]["Value"].split(";"))
    assert set(PUBLIC) < secure
    hidden = properties["MsiHiddenProperties"]["Value"].split(";")
    assert hidden == [SECRET, "SetUp"]
    assert SECRET not in properties, "no default, so none is stored"
    stored = [row for row in read_table(msi, "Registry").rows if SECRET in "".join(row)]
    assert stored == []
    told = read_table(msi, "CustomAction").by("Action")["SetUp"]
    assert int(told["Type"]) & 8192, "its command line stays out of the log"


def test_what_was_said_once_is_known_to_the_next_install(msi: Path) -> None:
    registry = read_table(msi, "Registry").by("Name")
    actions = read_table(msi, "CustomAction").by("Action")
    order = read_table(msi, "InstallExecuteSequence").by("Action")
    searched = read_table(msi, "AppSearch").by("Property")
    for name, value in REMEMBERED.items():
        assert registry[value]["Value"] == f"[{name}]"
        assert name not in searched, "a search would write over the command line"
        assert f"KNOWN_{name}" in searched
        recall = actions[f"Recall{value}"]
        assert (recall["Type"], recall["Source"], recall["Target"]) == (
            "51",
            name,
            f"[KNOWN_{name}]",
        )
        step = order[f"Recall{value}"]
        assert step["Condition"] == f"NOT {name} AND KNOWN_{name}"
        at = [int(order[n]["Sequence"]) for n in ("AppSearch", "LaunchConditions", "CostFinalize")]
        assert at[0] < int(step["Sequence"]) < at[1] < at[2]


def test_an_upgrade_replaces_also_the_same_version_and_a_downgrade_is_refused(msi: Path) -> None:
    upgrades = read_table(msi, "Upgrade").by("ActionProperty")
    older = upgrades["WIX_UPGRADE_DETECTED"]
    assert older["UpgradeCode"] == f"{{{load_pins().product.upgrade_code}}}"
    assert older["UpgradeCode"].isupper()
    assert (older["VersionMin"], older["VersionMax"]) == ("", "0.1.0")
    assert int(older["Attributes"]) & 512, "up to and with this version"
    assert not int(older["Attributes"]) & 2, "really removed, not only noticed"
    newer = upgrades["WIX_DOWNGRADE_DETECTED"]
    assert (newer["VersionMin"], int(newer["Attributes"])) == ("0.1.0", 2)
    conditions = read_table(msi, "LaunchCondition").by("Condition")
    assert "newer version" in conditions["NOT WIX_DOWNGRADE_DETECTED"]["Description"]
    assert any("WINBUILD >= 17763" in condition for condition in conditions)
    assert any("Privileged" in condition for condition in conditions)
    assert any("VersionNT64" in condition for condition in conditions)


def test_the_order_of_what_is_done(msi: Path) -> None:
    order = {
        name: int(row["Sequence"])
        for name, row in read_table(msi, "InstallExecuteSequence").by("Action").items()
    }
    expected = [
        "AppSearch", "LaunchConditions", "CostFinalize", "InstallValidate",
        # The old version goes before anything is copied: a reused component loses no file.
        "RemoveExistingProducts", "InstallInitialize", "CloseTrays", "StopServices",
        "DeleteServices", "AwaitEnd", "Purge", "RemoveFiles", "InstallFiles", "InstallServices",
        "Prepare", "StartServices", "SetUp", "InstallFinalize", "LaunchTray",
    ]  # fmt: skip
    assert [name for name in sorted(order, key=order.__getitem__) if name in expected] == expected


def test_single_user_mode_has_no_service_and_data_stays_unless_it_is_to_go(msi: Path) -> None:
    rows = read_table(msi, "InstallExecuteSequence").by("Action")
    for action in ("InstallServices", "StartServices"):
        assert rows[action]["Condition"] == 'NOT MODE OR MODE = "service"'
    assert rows["Purge"]["Condition"] == (
        'REMOVE = "ALL" AND PURGEDATA = "1" AND NOT UPGRADINGPRODUCTCODE'
    )
    components = read_table(msi, "Component").by("Component")
    assert int(components["CmpData"]["Attributes"]) & 16, "permanent"
    assert components["CmpRun"]["Condition"] == 'NOT TRAYAUTOSTART OR TRAYAUTOSTART = "1"'


def test_our_own_program_works_as_the_system_and_only_what_may_fail_may(msi: Path) -> None:
    actions = read_table(msi, "CustomAction").by("Action")
    deferred, as_system, may_fail = 0x400, 0x800, 0x40
    for name in (
        "CloseTrays", "StandBy", "Prepare", "SetUp", "AwaitEnd", "Purge", "Forget",
    ):  # fmt: skip
        kind = int(actions[name]["Type"])
        assert kind & deferred
        assert kind & as_system
        assert actions[name]["Source"] == "FileProgram"
        assert bool(kind & may_fail) == (name != "Prepare")
    launch = read_table(msi, "InstallExecuteSequence").by("Action")["LaunchTray"]["Condition"]
    assert "NOT NOLAUNCH" in launch
    assert "UILevel" in launch, "never by a silent install, which may run in another session"


def test_components_are_64_bit_each_with_a_code_of_its_own(msi: Path) -> None:
    components = read_table(msi, "Component").by("Component")
    assert all(int(row["Attributes"]) & 256 for row in components.values())
    codes = [row["ComponentId"] for row in components.values()]
    assert len(set(codes)) == len(codes)
    assert all(re.fullmatch(r"\{[0-9A-F-]{36}\}", code) for code in codes)
    owned = read_table(msi, "FeatureComponents").rows
    assert {row[1] for row in owned} == set(components)


def test_programs_and_libraries_have_their_version(msi: Path) -> None:
    files = read_table(msi, "File").by("FileName")
    versions = {row["FileName"].rpartition("|")[2]: row["Version"] for row in files.values()}
    for name in ("bridgework.exe", "bridgework-tray.exe", "part.dll"):
        assert re.fullmatch(r"\d+\.\d+\.\d+\.\d+", versions[name]), name
    assert versions["text.txt"] == ""


def test_one_entry_in_the_list_of_programs_and_no_table_we_do_without(msi: Path) -> None:
    properties = read_table(msi, "Property").by("Property")
    for name in ("ARPPRODUCTICON", "ARPHELPLINK", "ARPURLINFOABOUT", "ARPCONTACT"):
        assert properties[name]["Value"]
    assert properties["ALLUSERS"]["Value"] == "1"
    location = read_table(msi, "CustomAction").by("Action")["SetLocation"]
    assert (location["Source"], location["Target"]) == ("ARPINSTALLLOCATION", "[INSTALLFOLDER]")
    order = read_table(msi, "InstallExecuteSequence").by("Action")
    assert int(order["SetLocation"]["Sequence"]) > int(order["CostFinalize"]["Sequence"])
    assert not FORBIDDEN & table_names(msi)
    assert all(
        "".join(row).isascii()
        for table in ("Property", "Registry", "CustomAction", "Shortcut", "LaunchCondition")
        for row in read_table(msi, table).rows
    )


def test_the_start_menu_the_icon_at_sign_in_and_the_source_of_events(msi: Path) -> None:
    shortcut = read_table(msi, "Shortcut").by("Shortcut")["ShortcutTray"]
    assert (shortcut["Directory_"], shortcut["Target"]) == (
        "ProgramMenuFolder", "[INSTALLFOLDER]bridgework-tray.exe",
    )  # fmt: skip
    rows = read_table(msi, "Registry").by("Registry")
    local_machine = "2"
    run, events = rows["RunTray"], rows["EventFile"]
    assert (run["Root"], run["Value"]) == (
        local_machine, '"[INSTALLFOLDER]bridgework-tray.exe" --autostart',
    )  # fmt: skip
    assert run["Key"].endswith(r"CurrentVersion\Run")
    assert (events["Root"], events["Name"]) == (local_machine, "EventMessageFile")
    assert events["Key"].endswith(r"EventLog\Application\Bridgework")


def test_the_shortcut_and_the_program_have_one_name_for_windows(msi: Path) -> None:
    told = read_table(msi, "MsiShortcutProperty").by("Shortcut_")["ShortcutTray"]
    assert "ShortcutTray" in read_table(msi, "Shortcut").by("Shortcut")
    assert (told["PropertyKey"], told["PropVariantValue"]) == ("System.AppUserModel.ID", APP_ID)


def test_the_same_inputs_give_the_same_codes_and_another_commit_another_product(
    msi: Path, tmp_path: Path
) -> None:
    def build(name: str, commit: str) -> Path:
        scratch = tmp_path / name
        scratch.mkdir()
        (scratch / "bundle").symlink_to(msi.parent / "bundle")
        product = load_pins().product
        return build_msi(scratch, product=product, version="0.1.0", commit=commit)

    again, other = build("again", "abc"), build("other", "def")
    for table in ("Component", "File", "Directory", "CustomAction", "InstallExecuteSequence"):
        assert sorted(read_table(msi, table).rows) == sorted(read_table(again, table).rows)
    codes = [
        read_table(m, "Property").by("Property")["ProductCode"]["Value"]
        for m in (msi, again, other)
    ]
    assert codes[0] == codes[1] != codes[2]


def test_a_name_the_installer_cannot_write_is_refused(tmp_path: Path) -> None:
    (tmp_path / "zoë.txt").write_text("")
    with pytest.raises(BuildError, match="ASCII"):
        fragment(tmp_path, load_pins().product)
