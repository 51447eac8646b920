"""Checks real traffic against ``assets/openapi/crm-sync.yaml``: nothing undocumented may happen."""

from __future__ import annotations

import re
from collections import Counter
from functools import cached_property
from pathlib import Path
from typing import Any

import httpx
import yaml
from jsonschema import Draft202012Validator
from referencing import Registry
from referencing.jsonschema import DRAFT202012

FILE = Path(__file__).resolve().parents[3] / "assets" / "openapi" / "crm-sync.yaml"
_BASE = "urn:crm-sync"


class Contract:
    """``check`` raises AssertionError for an answer the file does not promise."""

    def __init__(self, file: Path = FILE) -> None:
        self.spec: dict[str, Any] = yaml.safe_load(file.read_text())
        resource = DRAFT202012.create_resource(self.spec)
        self._registry: Any = Registry().with_resource(_BASE, resource)
        self.seen: Counter[tuple[str, str, int]] = Counter()

    @cached_property
    def _paths(self) -> list[tuple[re.Pattern[str], str]]:
        # Fixed paths before ones with a hole, as OpenAPI asks.
        ordered = sorted(self.spec["paths"], key=lambda path: path.count("{"))
        return [(re.compile(re.sub(r"\{\w+\}", "[^/]+", path) + r"\Z"), path) for path in ordered]

    def check(self, response: httpx.Response) -> None:
        path = response.request.url.raw_path.decode().partition("?")[0]
        template = next((t for pattern, t in self._paths if pattern.match(path)), None)
        if template is None:
            return  # the page and the test door are no part of the contract
        method = response.request.method.lower()
        operation = self.spec["paths"][template].get(method)
        assert operation is not None or response.status_code == 405, f"{method} {template}"
        if operation is None:
            return
        place = f"{method.upper()} {template} {response.status_code}"
        promised = operation["responses"].get(str(response.status_code))
        assert promised is not None, f"undocumented: {place}"
        self.seen[method, template, response.status_code] += 1
        while "$ref" in promised:
            promised = self._at(promised["$ref"])
        for name, header in promised.get("headers", {}).items():
            assert not header.get("required") or name in response.headers, f"{place}: no {name}"
        self._check_body(place, promised.get("content"), response)

    def _check_body(
        self, place: str, content: dict[str, Any] | None, response: httpx.Response
    ) -> None:
        body = response.read()
        if not content:
            assert not body, f"{place}: a body nobody promised"
            return
        media = response.headers.get("content-type", "").partition(";")[0]
        assert media in content, f"{place}: {media}"
        if media.endswith("json"):
            self.fits(response.json(), content[media]["schema"], place)

    def fits(self, value: Any, schema: dict[str, Any], place: str = "") -> None:
        """The value fits the schema (which may refer into the file)."""
        absolute = _absolute(schema)
        errors = list(Draft202012Validator(absolute, registry=self._registry).iter_errors(value))
        assert not errors, f"{place}: {errors[0].json_path}: {errors[0].message[:300]}"

    def schema(self, name: str) -> dict[str, Any]:
        return {"$ref": f"#/components/schemas/{name}"}

    def _at(self, reference: str) -> dict[str, Any]:
        value: Any = self.spec
        for part in reference.removeprefix("#/").split("/"):
            value = value[part]
        found: dict[str, Any] = value
        return found


def _absolute(value: Any) -> Any:
    """The same schema with its references made absolute."""
    if isinstance(value, list):
        return [_absolute(one) for one in value]
    if not isinstance(value, dict):
        return value
    return {
        name: f"{_BASE}{one}" if name == "$ref" and one.startswith("#") else _absolute(one)
        for name, one in value.items()
    }
