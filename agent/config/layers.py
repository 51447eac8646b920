"""Layers of settings: defaults < file < installer and policy < environment < flags.

Reads files and, on Windows, the registry; writes neither.

Imports only agent.config and the leaves.
"""

from __future__ import annotations

import dataclasses
import json
import os
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from agent.config.paths import HOME_ENV, POLICY_ENV, Paths, policy_file
from agent.config.registry import installed_settings, read_installed, read_policies
from agent.config.settings import MANIFEST, SECTIONS, Origin, Settings, Value
from agent.config.values import find_setting, nearest, parse
from agent.errors import ConfigError
from agent.model.reading import Finding, Severity


def load_settings(
    overrides: Mapping[str, object] | Sequence[str] = (),
    *,
    home: Path | None = None,
    environ: Mapping[str, str] | None = None,
) -> Settings:
    """Read every layer. ``overrides`` are flags: a mapping, or texts ``name=value``.

    A name nobody knows is an error in a flag (somebody is typing right now) and a finding in a
    file or the environment (an older agent must start with a newer agent's file).
    Raises ConfigError: config.bad_value, config.unknown_setting, config.bad_file,
    config.secret_in_file, config.bad_flag.
    """
    env = os.environ if environ is None else environ
    paths = Paths.locate(home, env)
    values: dict[str, Value] = {}
    origins: dict[str, Origin] = {}
    findings: list[Finding] = []

    for origin, source, given in _layers(paths, env, overrides):
        for name, raw in given.items():
            if name not in MANIFEST and origin is not Origin.FLAG:
                findings.append(_unknown(name, source))
                continue
            setting = find_setting(name, source)
            if setting.secret and origin in {Origin.FILE, Origin.POLICY}:
                raise ConfigError("config.secret_in_file", setting=name, source=source)
            values[name] = parse(setting, raw, source)
            origins[name] = origin
    return _view(paths, values, origins, tuple(findings))


def read_file(path: Path) -> dict[str, object]:
    """A TOML or JSON file of settings as dotted names. A missing file is an empty one."""
    try:
        text = path.read_text(encoding="utf-8-sig")
        tree = json.loads(text) if path.suffix.lower() == ".json" else tomllib.loads(text)
    except FileNotFoundError:
        return {}
    except (ValueError, OSError) as error:
        # JSONDecodeError, TOMLDecodeError and UnicodeDecodeError are all ValueErrors.
        raise ConfigError(
            "config.bad_file", source=str(path), line=_line_of(error), reason=_reason_of(error)
        ) from None
    if not isinstance(tree, dict):
        raise ConfigError("config.bad_file", source=str(path), line=1, reason="not a table")
    return dict(_flat(tree))


def parse_flags(texts: Sequence[str]) -> dict[str, object]:
    flags: dict[str, object] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals:
            raise ConfigError("config.bad_flag", value=name.strip())
        flags[name.strip()] = value
    return flags


def _layers(
    paths: Paths, env: Mapping[str, str], overrides: Mapping[str, object] | Sequence[str]
) -> Iterator[tuple[Origin, str, Mapping[str, object]]]:
    yield Origin.FILE, str(paths.config_file), read_file(paths.config_file)
    yield Origin.POLICY, "the installer", installed_settings(read_installed())
    yield Origin.POLICY, "group policy", read_policies()
    policy = policy_file(env)
    if policy is not None:
        if not policy.is_file():
            # An administrator's rule that silently does not apply is worse than no start.
            raise ConfigError("config.no_policy", source=str(policy))
        yield Origin.POLICY, str(policy), read_file(policy)
    yield Origin.ENV, "environment", _from_env(env)
    flags = overrides if isinstance(overrides, Mapping) else parse_flags(overrides)
    yield Origin.FLAG, "--set", flags


def _from_env(env: Mapping[str, str]) -> dict[str, object]:
    """Known variables only, plus near misses under their own name so that they become findings."""
    found: dict[str, object] = {s.name: env[s.env] for s in MANIFEST.values() if s.env in env}
    known = {s.env for s in MANIFEST.values()} | {HOME_ENV, POLICY_ENV}
    sections = tuple(f"BRIDGEWORK_{s.upper()}_" for s in SECTIONS)
    for name in sorted(env.keys() - known):
        if name.startswith(sections):
            found[name] = ""
    return found


def _flat(tree: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, object]]:
    for key, value in tree.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def _view(
    paths: Paths,
    values: Mapping[str, Value],
    origins: Mapping[str, Origin],
    findings: tuple[Finding, ...],
) -> Settings:
    sections: dict[str, Any] = {}
    for section, view in SECTIONS.items():
        given = {
            field.name: values[f"{section}.{field.name}"]
            for field in dataclasses.fields(view)
            if f"{section}.{field.name}" in values
        }
        sections[section] = view(**given)
    return Settings(paths=paths, origins=dict(origins), findings=findings, **sections)


def _unknown(name: str, source: str) -> Finding:
    known = {s.env for s in MANIFEST.values()} if source == "environment" else set(MANIFEST)
    return Finding(
        "config.unknown_setting",
        Severity.WARNING,
        {"setting": name, "source": source, "nearest": nearest(name, known)},
    )


def _line_of(error: Exception) -> int | None:
    if isinstance(error, json.JSONDecodeError):
        return error.lineno
    # tomllib says "(at line 3, column 7)" and, before Python 3.14, nothing machine-readable.
    words = str(error).replace(",", " ").split()
    if "line" in words[:-1]:
        number = words[words.index("line") + 1]
        return int(number) if number.isdigit() else None
    return None


def _reason_of(error: Exception) -> str:
    """Never the file's own words: a password may stand on the bad line."""
    if isinstance(error, OSError):
        return (error.strerror or "cannot be read").lower()
    if isinstance(error, UnicodeDecodeError):
        return "not UTF-8 text"
    return "not valid JSON" if isinstance(error, json.JSONDecodeError) else "not valid TOML"
