"""The MSI: fragments from the bundle's files, wixl, then what wixl cannot say."""

from __future__ import annotations

import hashlib
import shutil
from dataclasses import dataclass
from pathlib import Path
from xml.sax.saxutils import quoteattr

from installer import tables
from installer.pins import HERE, Product
from installer.steps import BuildError, Step, digest_of
from installer.winebox import WineBox

PROGRAMS = {"bridgework.exe": "FileProgram", "bridgework-tray.exe": "FileTray"}
#: property -> name under HKLM\Software\Bridgework; set once, kept by upgrades and repairs
REMEMBERED = {
    "SERVERURL": "ServerUrl",
    "PMS": "Pms",
    "PROXY": "Proxy",
    "MODE": "Mode",
    "TRAYAUTOSTART": "TrayAutostart",
    "INSTALLFOLDER": "InstallFolder",
    "DATAFOLDER": "DataFolder",
}
_AFTER_SEARCH = 51  # AppSearch is 50, LaunchConditions 100
_NS = "http://schemas.microsoft.com/wix/2006/wi"


@dataclass(frozen=True, slots=True)
class Fragment:
    """The bundle's files as one component each; ``sources``: File id -> file."""

    xml: str
    sources: dict[str, Path]


def fragment(bundle: Path, inside: str, product: Product) -> Fragment:
    """``inside``: how wixl finds the bundle. Sorted, with codes derived from the names."""
    lines: list[str] = []
    components: list[str] = []
    sources: dict[str, Path] = {}

    def walk(folder: Path) -> None:
        for path in sorted(folder.iterdir()):
            name = path.relative_to(bundle).as_posix()
            if not name.isascii():
                raise BuildError(f"{name!r}: names in the installer must be ASCII.")
            if path.is_dir():
                lines.append(f"<Directory Id={_id('d', name)} Name={quoteattr(path.name)}>")
                walk(path)
                lines.append("</Directory>")
            elif name not in PROGRAMS:
                component, file = _id("c", name), _id("f", name)
                components.append(f"<ComponentRef Id={component} />")
                sources[file.strip('"')] = path
                lines.append(
                    f"<Component Id={component} Guid={quoteattr(product.code('file', name))}"
                    f' Win64="yes"><File Id={file} Name={quoteattr(path.name)}'
                    f' Source={quoteattr(f"{inside}/{name}")} KeyPath="yes" /></Component>'
                )

    walk(bundle)
    sources.update({file: bundle / name for name, file in PROGRAMS.items()})
    xml = (
        f'<?xml version="1.0" encoding="utf-8"?>\n<Wix xmlns="{_NS}">\n<Fragment>'
        '<DirectoryRef Id="INSTALLFOLDER">\n' + "\n".join(lines) + "\n</DirectoryRef></Fragment>\n"
        '<Fragment><ComponentGroup Id="Bundle">\n' + "\n".join(components) + "\n"
        "</ComponentGroup></Fragment>\n</Wix>\n"
    )
    return Fragment(xml, sources)


def authored(text: str) -> str:
    """The main source with what each remembered property needs written out.

    A search writes over what the command line said, so the found value goes to a property of its
    own and is taken up only where the command line was silent.
    """
    searches, known, recalls = [], [], []
    for at, (name, value) in enumerate(REMEMBERED.items(), _AFTER_SEARCH):
        searches.append(
            f'<Property Id="{name}" Secure="yes" />'
            f'<Property Id="KNOWN_{name}"><RegistrySearch Id="Search{value}" Root="HKLM"'
            rf' Key="Software\Bridgework" Name="{value}" Type="raw" Win64="yes" /></Property>'
            f'<CustomAction Id="Recall{value}" Property="{name}" Value="[KNOWN_{name}]" />'
        )
        known.append(
            rf'<RegistryValue Id="Known{value}" Root="HKLM" Key="Software\Bridgework"'
            f' Name="{value}" Type="string" Value="[{name}]" />'
        )
        recalls.append(
            f'<Custom Action="Recall{value}" Sequence="{at}">NOT {name} AND KNOWN_{name}</Custom>'
        )
    for marker, lines in (("Remembered", searches), ("Known", known), ("Recall", recalls)):
        text = text.replace(f"$({marker})", "\n".join(lines))
    return text


def msi_step(
    bundle: Path, box: WineBox, *, product: Product, version: str, commit: str, made_of: str
) -> Step:
    """``<folder>/Bridgework-<version>.msi``, unsigned. wixl's every word is taken as a failure:
    what it cannot do it leaves out, with no more than a warning."""

    def make(folder: Path) -> None:
        scratch = box.work / "msi"
        if scratch.exists():
            shutil.rmtree(scratch)
        scratch.mkdir(parents=True)
        shutil.copytree(bundle / "Bridgework", scratch / "bundle")
        made = fragment(scratch / "bundle", box.inside(scratch / "bundle"), product)
        (scratch / "bundle.wxs").write_text(made.xml)
        source = authored((HERE / "bridgework.wxs").read_text())
        (scratch / "bridgework.wxs").write_text(source)
        name = f"Bridgework-{version}.msi"
        given = {
            "Version": version,
            "ProductCode": product.code("product", f"{version}+{commit}"),
            "UpgradeCode": product.upgrade_code,
            "Manufacturer": product.manufacturer,
            "HelpUrl": product.help_url,
            "OldestBuild": str(product.oldest_windows_build),
            "Bundle": box.inside(scratch / "bundle"),
            "Icon": box.inside(scratch / "bundle" / "_internal/assets/icons/bridgework.ico"),
            **{f"Guid{n}": product.code("component", n)
               for n in ("Program", "Tray", "Run", "Known", "Data")},
        }  # fmt: skip
        flags = " ".join(f"-D '{k}={v}'" for k, v in given.items())
        box.run(
            f"cd {box.inside(scratch)} && wixl -a x64 {flags} -o {name} bridgework.wxs bundle.wxs",
            "build the MSI",
            quiet_is_success=True,
        )
        msi = scratch / name
        tables.patch(msi)
        versions = tables.fill_versions(msi, made.sources, scratch)
        if versions < len(PROGRAMS):
            raise BuildError("Our own programs have no version resource.")
        shutil.copy(msi, folder / name)
        (folder / "made.sha256").write_text(hashlib.sha256(msi.read_bytes()).hexdigest())

    return Step(
        "msi",
        {
            "before": made_of,
            "version": version,
            "commit": commit,
            "source": digest_of([HERE / "bridgework.wxs", HERE / "msi.py", HERE / "tables.py"]),
        },
        make,
    )


def _id(kind: str, name: str) -> str:
    return quoteattr(f"{kind}_{hashlib.sha256(name.encode()).hexdigest()[:20]}")
