"""``bridgework config`` as people and scripts use it, and the root's way with errors."""

from __future__ import annotations

import json
import subprocess
import sys
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType

import click
import pytest
from click.testing import CliRunner, Result

import agent.cli
from agent.cli import main
from agent.cli.root import COMMANDS
from agent.errors import CrmAuthError, ExitCode, PmsUnavailable

CANARY = "Zaphod Testperson 555-0142"


def _run(*arguments: str, given: str | None = None) -> Result:
    return CliRunner().invoke(main, list(arguments), input=given)


def test_list_shows_every_setting_with_its_source() -> None:
    _run("config", "set", "pms.host", "SRV1")
    done = _run("--set", "pms.port=3307", "config", "list")
    assert done.exit_code == 0, done.output
    rows = {line.split()[0]: line.split()[1:] for line in done.stdout.splitlines() if line}
    assert rows["pms.host"] == ["SRV1", "file"]
    assert rows["pms.port"] == ["3307", "flag"]
    assert rows["crm.url"] == ["-", "default"]
    assert len(rows) >= 30


def test_list_as_json_for_scripts() -> None:
    told = json.loads(_run("config", "list", "--json").stdout)
    port = next(s for s in told["settings"] if s["name"] == "pms.port")
    assert (port["value"], port["type"], port["source"]) == (3306, "integer", "default")
    assert port["allowed"] == "a whole number from 1 to 65535"
    assert told["findings"] == ["secrets.fallback_file"]


def test_list_one_section_and_one_setting() -> None:
    assert len(_run("config", "list", "log").stdout.splitlines()) == 2
    assert len(_run("config", "list", "log.level").stdout.splitlines()) == 1
    assert _run("config", "list", "lgo").exit_code == 2


def test_set_get_unset() -> None:
    assert _run("config", "set", "sync.gate_ms", "75").exit_code == 0
    assert _run("config", "get", "sync.gate_ms").stdout == "75\n"
    assert json.loads(_run("config", "get", "sync.gate_ms", "--json").stdout)["value"] == 75
    assert _run("config", "unset", "sync.gate_ms").exit_code == 0
    assert _run("config", "get", "sync.gate_ms").stdout == "50\n"


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (
            ("config", "set", "pms.port", "abc"),
            "pms.port cannot be 'abc' (from command line): "
            "allowed is a whole number from 1 to 65535. [config.bad_value]",
        ),
        (
            ("config", "get", "pms.prot"),
            "There is no setting 'pms.prot' (from command line). Did you mean pms.port? "
            "[config.unknown_setting]",
        ),
        (
            ("--set", "pms.port", "config", "list"),
            "--set wants NAME=VALUE, not 'pms.port'. [config.bad_flag]",
        ),
    ],
)
def test_a_mistake_gives_one_clear_line_and_code_2(arguments: tuple[str, ...], line: str) -> None:
    done = _run(*arguments)
    assert done.exit_code == 2
    assert done.stderr == f"bridgework: {line}\n"
    assert done.stdout == ""


def test_a_wrong_value_in_the_environment_names_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BRIDGEWORK_PMS_PORT", "99999")
    done = _run("config", "list")
    assert done.exit_code == 2
    assert "pms.port cannot be '99999' (from environment)" in done.stderr


def test_a_secret_is_stored_but_never_shown(home: Path) -> None:
    done = _run("config", "set", "pms.password", given="hunter2\n")
    assert done.exit_code == 0, done.output
    outputs = [done.output]
    outputs += [_run("config", *c).output for c in (("list",), ("list", "--json", "--long"))]
    outputs += [_run("config", "get", "pms.password", *c).output for c in ((), ("--json",))]
    assert all("hunter2" not in text for text in outputs)
    assert outputs[3] == "(set)\n"
    files = [p for p in home.rglob("*") if p.is_file() and "hunter2" in p.read_text()]
    assert [p.name for p in files] == ["pms.password"]  # the stated fallback alone
    assert _run("config", "unset", "pms.password").exit_code == 0
    assert _run("config", "get", "pms.password").stdout == "(not set)\n"


def test_home_flag(tmp_path: Path) -> None:
    _run("--home", str(tmp_path / "x"), "config", "set", "pms.host", "a")
    assert (tmp_path / "x" / "config.toml").exists()


# --- the root ------------------------------------------------------------------------------------


def test_help_lists_existing_commands_only() -> None:
    done = _run("--help")
    assert done.exit_code == 0
    listed = done.stdout.partition("Commands:")[2]
    assert "config " in listed
    for name, (target, _) in COMMANDS.items():
        module = target.partition(":")[0].rpartition(".")[2]
        file = Path(agent.cli.__file__).with_name(f"{module}.py")
        assert (f"\n  {name} " in listed) == file.exists(), name


def test_help_imports_no_command() -> None:
    script = (
        "import sys\n"
        "from agent.cli import main\n"
        "try: main(['--help'])\n"
        "except SystemExit: pass\n"
        "print('LOADED', [m for m in sys.modules if m.endswith('_cmd')])\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.stdout.splitlines()[-1] == "LOADED []", done.stderr


def test_version() -> None:
    assert _run("--version").stdout.startswith("bridgework, version 0.")


def test_an_unknown_command_is_a_usage_error() -> None:
    assert _run("confg").exit_code == 2


@pytest.fixture
def fake_command(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """A command module whose ``act`` the test replaces."""
    module = ModuleType("agent.cli.fake_cmd")
    module.__spec__ = ModuleSpec("agent.cli.fake_cmd", None)

    @click.command()
    def fake() -> object:
        return module.act()  # type: ignore[attr-defined]

    module.fake = fake  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "agent.cli.fake_cmd", module)
    monkeypatch.setitem(COMMANDS, "fake", ("agent.cli.fake_cmd:fake", ""))
    return module


def _raise(error: BaseException) -> object:
    def act() -> None:
        raise error

    return act


@pytest.mark.parametrize(
    ("error", "code", "text"),
    [
        (PmsUnavailable(host="SRV1"), 3, "Cannot reach the practice's database (SRV1)."),
        (CrmAuthError(), 6, "no longer linked"),
        (KeyboardInterrupt(), 130, ""),
    ],
)
def test_errors_become_a_line_and_their_code(
    fake_command: ModuleType, error: BaseException, code: int, text: str
) -> None:
    fake_command.act = _raise(error)  # type: ignore[attr-defined]
    done = _run("fake")
    assert done.exit_code == code
    assert text in done.stderr
    assert "Traceback" not in done.output


def test_a_crash_shows_no_traceback_and_no_patient(fake_command: ModuleType, home: Path) -> None:
    fake_command.act = _raise(KeyError(CANARY))  # type: ignore[attr-defined]
    done = _run("fake")
    assert done.exit_code == 1
    assert "[internal]" in done.stderr
    assert "Traceback" not in done.output
    log = (home / "logs" / "bridgework-cli.log").read_text()
    line = json.loads(log.splitlines()[-1])
    assert (line["event"], line["error"]) == ("command.crashed", "KeyError")
    assert any("agent/cli/root.py" in frame for frame in line["frames"])
    assert "Zaphod" not in log + done.output


def test_a_command_may_return_its_exit_code(fake_command: ModuleType) -> None:
    fake_command.act = lambda: ExitCode.BUSY  # type: ignore[attr-defined]
    assert _run("fake").exit_code == 5
    fake_command.act = lambda: None  # type: ignore[attr-defined]
    assert _run("fake").exit_code == 0
