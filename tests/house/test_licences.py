"""The licence check passes on what is installed, and would not on what must not be."""

from __future__ import annotations

from email.message import Message

import pytest

from tests.house import licences


def _about(**fields: str | list[str]) -> Message:
    about = Message()
    for name, values in fields.items():
        for value in [values] if isinstance(values, str) else values:
            about[name.replace("_", "-")] = value
    return about


def test_everything_we_ship_with_is_allowed() -> None:
    found = licences.closure(licences.runtime_requirements())
    refused = [v for v in (licences.judge(n, a) for n, a in found.items()) if not v.is_allowed]
    assert refused == []
    assert {"httpx", "httpcore", "cffi"} <= found.keys()  # direct, and theirs


@pytest.mark.parametrize(
    "about",
    [
        _about(License_Expression="GPL-3.0-only"),
        _about(License_Expression="MIT AND AGPL-3.0-or-later"),
        _about(License_Expression="LGPL-2.1-or-later"),
        _about(Classifier=["License :: OSI Approved :: GNU General Public License v2 (GPLv2)"]),
        _about(License="GNU Affero General Public License"),
        _about(License="Other/Proprietary License"),
        _about(License="see LICENSE"),
        _about(Name="says-nothing"),
    ],
)
def test_these_are_refused(about: Message) -> None:
    assert not licences.judge("something", about).is_allowed


@pytest.mark.parametrize(
    "about",
    [
        _about(License_Expression="MIT"),
        _about(License_Expression="Apache-2.0 OR BSD-3-Clause"),
        _about(License_Expression="GPL-2.0-only OR MIT"),
        _about(License="BSD 3-Clause\n\nlong text"),
        _about(Classifier=["License :: OSI Approved :: Mozilla Public License 2.0 (MPL 2.0)"]),
    ],
)
def test_these_are_allowed(about: Message) -> None:
    assert licences.judge("something", about).is_allowed


def test_lesser_gpl_is_for_qt_alone() -> None:
    about = _about(License_Expression="LGPL-3.0-only OR GPL-2.0-only")
    assert licences.judge("pyside6-essentials", about).is_allowed
    assert not licences.judge("nameparser", about).is_allowed


def test_a_refused_package_deep_down_is_found() -> None:
    shelf = {
        "ours": _about(
            License_Expression="MIT", Requires_Dist=["theirs>=1", "tests; extra == 'x'"]
        ),
        "theirs": _about(License_Expression="MIT", Requires_Dist="viral"),
        "viral": _about(License_Expression="GPL-3.0-or-later"),
    }
    found = licences.closure(["ours"], shelf.get)
    assert found.keys() == {"ours", "theirs", "viral"}
    assert not licences.judge("viral", found["viral"]).is_allowed
