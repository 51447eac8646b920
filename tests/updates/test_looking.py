"""The agent's side against a real HTTP server: asks, downloads whole or not at all, says so."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import msgspec
import pytest
from click.testing import CliRunner

from agent import __version__
from agent.cli import main
from agent.config import Paths, load_settings
from agent.control.server import ControlServer
from agent.errors import AgentError, CrmUnavailable, UpdateError
from agent.model.updates import Ending, InstallUpdate, Outcome
from agent.runtime.updates.decide import Deed
from agent.runtime.updates.looking import OFFER, Updates
from agent.runtime.updates.seal import UpdateSource
from installer.release import UpdateKey, offer_of, update_key
from tests.support.until import until

NEWER = "99.0.0"
ALWAYS_OPEN = "mon-sun 00:00-24:00"


class Place:
    """Where offers and installers lie. ``asked``: what was asked for; ``cut``: an installer's
    answer ends after so many bytes."""

    def __init__(self, folder: Path) -> None:
        self.asked: list[str] = []
        self.files: dict[str, bytes] = {}
        self.cut: int | None = None
        self.key: UpdateKey = update_key(folder / "update.pem")
        place = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                place.asked.append(self.path)
                content = place.files.get(self.path)
                self.send_response(200 if content is not None else 404)
                kind = "application/json" if self.path.endswith("json") else "application/x-msi"
                self.send_header("Content-Type", kind)
                self.send_header("Content-Length", str(len(content or b"")))
                self.end_headers()
                self.wfile.write((content or b"")[: place.cut])

            def log_message(self, *_: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(0.02,), daemon=True
        )
        self._thread.start()
        self.msi = folder / f"Bridgework-{NEWER}.msi"
        self.msi.write_bytes(bytes(range(256)) * 4000)
        self.offer(NEWER)

    @property
    def source(self) -> UpdateSource:
        return UpdateSource(f"{self.url}/update.json", (self.key.private.public_key(),))

    def offer(self, version: str, **changes: object) -> None:
        told = {**json.loads(offer_of(self.msi, version, self.url)), **changes}
        self.files["/update.json"] = self.key.seal(json.dumps(told))
        self.files[f"/{self.msi.name}"] = self.msi.read_bytes()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class Helper:
    """Stands in for the service of Windows; the real one is the Wine lane's."""

    def __init__(self) -> None:
        self.started = 0

    def is_there(self) -> bool:
        return True

    def start(self) -> None:
        self.started += 1


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    made = Place(tmp_path)
    yield made
    made.close()


@pytest.fixture
def helper() -> Helper:
    return Helper()


Make = Callable[..., Updates]


@pytest.fixture
def make(place: Place, helper: Helper, paths: Paths, tmp_path: Path) -> Make:
    def updates(policy: str = "auto", hours: str = "", **more: Any) -> Updates:
        flags = (
            f"update.policy={policy}",
            f"practice.hours={hours}",
            "update.look_s=5",
            "practice.zone=UTC",
        )

        def load() -> Any:
            return load_settings(flags, home=paths.home)

        given = {"helper": helper, "source": place.source, "outcome": tmp_path / "outcome.json"}
        made = Updates(load, paths, lambda: None, **{**given, **more})
        made._look_mono = 0.0  # due
        return made

    return updates


def never_open() -> str:
    """Office hours that are over for today, whenever this runs."""
    day = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")[(datetime.now(UTC).weekday() + 3) % 7]
    return f"{day} 10:00-11:00"


def file_of(place: Place, paths: Paths) -> Path:
    return paths.updates_dir / f"{hashlib.sha256(place.msi.read_bytes()).hexdigest()}.msi"


def test_looked_for_fetched_and_handed_over_outside_the_hours(
    make: Make, place: Place, helper: Helper, paths: Paths
) -> None:
    updates = make(hours=never_open())
    assert [updates.round() for _ in range(4)] == [
        Deed.LOOK, Deed.FETCH, Deed.INSTALL, Deed.NOTHING,
    ]  # fmt: skip
    assert file_of(place, paths).read_bytes() == place.msi.read_bytes()
    assert place.asked == ["/update.json", f"/{place.msi.name}"]
    assert helper.started == 1, "what brought no new version about is not begun every half minute"


def test_in_office_hours_everything_but_the_last_step(make: Make, helper: Helper) -> None:
    updates = make(hours=ALWAYS_OPEN)
    assert [updates.round() for _ in range(3)] == [Deed.LOOK, Deed.FETCH, Deed.NOTHING]
    assert helper.started == 0
    assert [f.code for f in updates.findings()] == ["update.planned"]


def test_notify_says_so_and_fetches_nothing(make: Make, place: Place, helper: Helper) -> None:
    updates = make("notify", never_open())
    assert [updates.round() for _ in range(2)] == [Deed.LOOK, Deed.NOTHING]
    assert place.asked == ["/update.json"]
    (finding,) = updates.findings()
    assert (finding.code, finding.facts["version"]) == ("update.available", NEWER)
    assert helper.started == 0


def test_managed_asks_nobody(make: Make, place: Place) -> None:
    updates = make("managed", never_open())
    assert updates.round() is Deed.NOTHING
    assert place.asked == []
    assert updates.findings() == []


@pytest.mark.parametrize("spoilt", ["file", "size", "cut", "longer"])
def test_a_file_that_is_not_the_offered_one_is_not_kept(
    make: Make, place: Place, paths: Paths, helper: Helper, spoilt: str
) -> None:
    path = f"/{place.msi.name}"
    whole = place.files[path]
    if spoilt == "file":
        place.files[path] = whole[:-1] + b"?"
    elif spoilt == "size":
        place.files[path] = whole[:-1]
    elif spoilt == "longer":
        place.files[path] = whole + b"x" * 100_000
    else:
        place.cut = 5000
    updates = make(hours=never_open())
    assert updates.round() is Deed.LOOK
    with pytest.raises((UpdateError, CrmUnavailable)):
        updates.round()
    assert [p.name for p in paths.updates_dir.iterdir()] == [OFFER]
    assert helper.started == 0


def test_a_stranger_is_not_believed_and_what_was_known_stays(
    make: Make, place: Place, tmp_path: Path
) -> None:
    updates = make("notify")
    updates.round()
    place.key = update_key(tmp_path / "stranger.pem")
    place.offer("100.0.0")
    updates._look_mono = 0.0
    with pytest.raises(UpdateError, match=r"update\.not_believed"):
        updates.round()
    assert [f.facts["version"] for f in updates.findings()] == [NEWER]


def test_an_offer_changed_on_this_computer_is_not_believed(make: Make, paths: Paths) -> None:
    updates = make("notify")
    updates.round()
    file = paths.updates_dir / OFFER
    file.write_bytes(file.read_bytes().replace(b"99.0.0", b"99.0.1"))
    assert updates.findings() == []


def test_the_same_and_an_older_version_are_none(make: Make, place: Place) -> None:
    for version in (__version__, "0.0.1"):
        place.offer(version)
        updates = make("notify")
        updates.round()
        assert updates.findings() == []


def test_a_version_that_was_taken_back_is_not_tried_again(
    make: Make, tmp_path: Path, helper: Helper
) -> None:
    outcome = Outcome(NEWER, __version__, Ending.TAKEN_BACK, datetime.now(UTC), "no_answer")
    (tmp_path / "outcome.json").write_bytes(msgspec.json.encode(outcome))
    updates = make(hours=never_open())
    assert [updates.round() for _ in range(3)] == [Deed.LOOK, Deed.NOTHING, Deed.NOTHING]
    assert [f.code for f in updates.findings()] == ["update.taken_back"]
    assert helper.started == 0


def test_no_offer_and_nobody_there(make: Make, place: Place) -> None:
    updates = make()
    del place.files["/update.json"]
    with pytest.raises(UpdateError, match=r"update\.not_found"):
        updates.round()
    assert updates.round() is Deed.NOTHING, "not asked again at once"


def test_the_thread_survives_trouble_goes_on_and_ends_when_told(
    make: Make, place: Place, helper: Helper
) -> None:
    del place.files["/update.json"]
    updates = make(hours=never_open())
    updates.start()
    until(lambda: place.asked == ["/update.json"])
    until(lambda: updates.view().code == "update.not_found")
    place.offer(NEWER)
    updates._look_mono = 0.0
    updates._wake.set()
    until(lambda: helper.started == 1)
    updates.stop()
    assert updates._thread is not None
    assert not updates._thread.is_alive()


def test_a_build_without_a_key_starts_nothing(paths: Paths) -> None:
    updates = Updates(lambda: load_settings((), home=paths.home), paths, lambda: None)
    updates.start()
    assert updates._thread is None
    assert updates.view().code == "update.no_source"


@pytest.fixture
def served(make: Make, paths: Paths) -> Iterator[Updates]:
    updates = make("notify", ALWAYS_OPEN)
    server = ControlServer(paths.control_socket, updates.offers(), agent_version=__version__)
    server.start()
    updates._look_mono = float("inf")
    updates.start()
    yield updates
    updates.stop()
    server.stop()


def test_the_command_shows_looks_and_installs(
    served: Updates, paths: Paths, place: Place, helper: Helper
) -> None:
    def bridgework(*words: str) -> Any:
        return CliRunner().invoke(main, ["--home", str(paths.home), "update", *words])

    before = bridgework("--json")
    assert (before.exit_code, place.asked) == (0, [])
    assert bridgework("install", "--yes").exit_code != 0, "nothing is offered yet"
    found = bridgework("check", "--json")
    assert found.exit_code == 1
    told = json.loads(found.output)
    assert (told["code"], told["release"]["version"]) == ("update.available", NEWER)
    shown = bridgework("show")
    assert NEWER in shown.output
    assert "update.available" in shown.output
    assert bridgework("install", "--yes").exit_code == 0
    until(lambda: helper.started == 1)
    assert file_of(place, paths).exists(), "fetched first, though the policy says notify"


def test_only_an_administrator_installs_by_command() -> None:
    assert InstallUpdate.role.value == "admin"
    assert issubclass(UpdateError, AgentError)
