"""Windows' registry as a layer of settings: what the installer was told, and group policy.

Elsewhere both are empty. Secrets are never read from here: any account may look into it.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path

INSTALLED_KEY = r"Software\Bridgework"
POLICY_KEY = r"Software\Policies\Bridgework"
#: value the installer writes -> the setting it stands for
INSTALLED = {"ServerUrl": "crm.url", "Pms": "pms.kind", "Proxy": "crm.proxy"}
#: value the installer writes -> its property; for an update that installs with the same words
PROPERTIES = {
    "ServerUrl": "SERVERURL",
    "Pms": "PMS",
    "Proxy": "PROXY",
    "Mode": "MODE",
    "TrayAutostart": "TRAYAUTOSTART",
    "InstallFolder": "INSTALLFOLDER",
    "DataFolder": "DATAFOLDER",
}
SINGLE_USER = "user"


def installed_settings(values: Mapping[str, object]) -> dict[str, object]:
    """The installer's values as settings; what was left empty says nothing."""
    return {name: values[key] for key, name in INSTALLED.items() if values.get(key)}


def service_home(values: Mapping[str, object]) -> Path | None:
    """The service's folder where one is installed; None in single-user mode or without one."""
    folder = values.get("DataFolder")
    if not isinstance(folder, str) or not folder or values.get("Mode") == SINGLE_USER:
        return None
    return Path(folder)


def read_installed() -> dict[str, object]:
    """Everything the installer wrote for this computer."""
    return _values(INSTALLED_KEY)


def program_files() -> Path | None:
    """Where Windows keeps programs, by its own word (an environment is anybody's). Else None."""
    folder = _values(r"SOFTWARE\Microsoft\Windows\CurrentVersion").get("ProgramFilesDir")
    return Path(folder) if isinstance(folder, str) and folder else None


def read_policies() -> dict[str, object]:
    """Values named like settings (``sync.page_rows``), set by an administrator's template."""
    return _values(POLICY_KEY)


if sys.platform == "win32":
    import winreg

    def _values(key: str) -> dict[str, object]:
        found: dict[str, object] = {}
        access = winreg.KEY_READ | winreg.KEY_WOW64_64KEY
        try:
            with winreg.OpenKey(winreg.HKEY_LOCAL_MACHINE, key, 0, access) as opened:
                for at in range(winreg.QueryInfoKey(opened)[1]):
                    name, value, _ = winreg.EnumValue(opened, at)
                    if isinstance(value, str | int):
                        found[name] = value
        except OSError:  # no such key
            return {}
        return found

else:

    def _values(_key: str) -> dict[str, object]:
        return {}
