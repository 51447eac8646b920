"""The manifest that lets winget install the MSI: three small YAML files beside it. Pure.

Fields as of manifest schema 1.6.0 (github.com/microsoft/winget-cli, schemas). Values are quoted: a
version such as 1.10 must stay text.
"""

from __future__ import annotations

from collections.abc import Mapping

from installer.pins import Product

_SCHEMA = "1.6.0"
_LOCALE = "en-US"


def winget_files(
    product: Product, *, version: str, url: str, sha256: str, product_code: str
) -> dict[str, str]:
    """File name -> text. ``url``: where this very file can be fetched; ``sha256`` of the signed
    file."""
    name = f"{product.manufacturer}.{product.name}"
    common = {"PackageIdentifier": name, "PackageVersion": version}
    installer = _yaml({
        **common, "InstallerType": "msi", "Scope": "machine", "UpgradeBehavior": "install",
        "MinimumOSVersion": f"10.0.{product.oldest_windows_build}.0",
    }) + (
        "InstallModes:\n- silent\n- silentWithProgress\n"
        "ElevationRequirement: elevationRequired\n"
        "Installers:\n"
        "- Architecture: x64\n"
        f"  InstallerUrl: '{url}'\n"
        f"  InstallerSha256: '{sha256.upper()}'\n"
        f"  ProductCode: '{product_code}'\n"
        "  AppsAndFeaturesEntries:\n"
        f"  - UpgradeCode: '{{{product.upgrade_code}}}'\n"
    ) + _end("installer")  # fmt: skip
    locale = _yaml({
        **common, "PackageLocale": _LOCALE, "Publisher": product.manufacturer,
        "PackageName": product.name, "License": "Apache-2.0", "PackageUrl": product.help_url,
        "ShortDescription": "Keeps a dental practice's own system and its CRM in agreement.",
    }) + _end("defaultLocale")  # fmt: skip
    return {
        f"{name}.yaml": _yaml({**common, "DefaultLocale": _LOCALE}) + _end("version"),
        f"{name}.installer.yaml": installer,
        f"{name}.locale.{_LOCALE}.yaml": locale,
    }


def _yaml(values: Mapping[str, str]) -> str:
    return "".join(
        f"{key}: '{value.replace(chr(39), chr(39) * 2)}'\n" for key, value in values.items()
    )


def _end(kind: str) -> str:
    return f"ManifestType: {kind}\nManifestVersion: {_SCHEMA}\n"
