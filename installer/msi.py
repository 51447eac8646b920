"""The MSI: fragments from the bundle's files, wixl, then what wixl cannot say."""

from __future__ import annotations

import hashlib
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from xml.sax.saxutils import quoteattr

from installer import tables
from installer.pins import HERE, Product
from installer.steps import BuildError, Step, call, digest_of, need

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
COMPONENTS = ("Program", "Tray", "Run", "Known", "Data")
_AFTER_SEARCH = 51  # AppSearch is 50, LaunchConditions 100
_NS = "http://schemas.microsoft.com/wix/2006/wi"


@dataclass(frozen=True, slots=True)
class Fragment:
    """The bundle's files as one component each; ``sources``: File id -> file."""

    xml: str
    sources: dict[str, Path]


def fragment(bundle: Path, product: Product) -> Fragment:
    """Sorted, with codes derived from the names; paths relative to the bundle's parent."""
    lines: list[str] = []
    components: list[str] = []
    sources: dict[str, Path] = {}

    def walk(folder: Path) -> None:
        names = [path.name.casefold() for path in folder.iterdir()]
        if len(set(names)) < len(names):
            raise BuildError(f"{folder}: names that differ by case only are one file on Windows.")
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
                    f' Source={quoteattr(f"{bundle.name}/{name}")} KeyPath="yes" /></Component>'
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
            f'<Property Id="KNOWN_{name}"><RegistrySearch Id="Search{value}" Root="HKLM"'
            rf' Key="Software\Bridgework" Name="{value}" Type="raw" Win64="yes" /></Property>'
            f'<CustomAction Id="Recall{value}" Property="{name}" Value="[KNOWN_{name}]"'
            ' Impersonate="yes" />'
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


def msi_step(bundle: Path, *, product: Product, version: str, commit: str, made_of: str) -> Step:
    """``<folder>/Bridgework-<version>.msi``, unsigned."""

    def make(folder: Path) -> None:
        with tempfile.TemporaryDirectory(dir=folder) as scratch:
            (Path(scratch) / "bundle").symlink_to(bundle / "Bridgework")
            msi = build_msi(Path(scratch), product=product, version=version, commit=commit)
            shutil.copy(msi, folder)

    source = digest_of([HERE / name for name in ("bridgework.wxs", "msi.py", "tables.py")])
    made_from = {"before": made_of, "version": version, "commit": commit, "source": source}
    return Step(f"msi-{version}", made_from, make)


def build_msi(scratch: Path, *, product: Product, version: str, commit: str) -> Path:
    """``scratch/bundle`` holds the files. wixl's every word is taken as a failure: what it cannot
    do it leaves out, with no more than a warning."""
    made = fragment(scratch / "bundle", product)
    (scratch / "bundle.wxs").write_text(made.xml)
    (scratch / "bridgework.wxs").write_text(authored((HERE / "bridgework.wxs").read_text()))
    msi = scratch / f"Bridgework-{version}.msi"
    given = {
        "Version": version,
        # One code for each content: the same version of another commit is another product.
        "ProductCode": product.code("product", f"{version}+{commit}"),
        "UpgradeCode": product.upgrade_code,
        "Manufacturer": product.manufacturer,
        "HelpUrl": product.help_url,
        "OldestBuild": str(product.oldest_windows_build),
        **{f"Guid{name}": product.code("component", name) for name in COMPONENTS},
    }
    flags = [word for name, value in given.items() for word in ("-D", f"{name}={value}")]
    call(
        [need("wixl", "wixl"), "-a", "x64", *flags, "-o", msi, "bridgework.wxs", "bundle.wxs"],
        "build the MSI",
        cwd=scratch,
        quiet_is_success=True,
    )
    tables.patch(msi)
    if tables.fill_versions(msi, made.sources, scratch) < len(PROGRAMS):
        raise BuildError("Our own programs have no version resource.")
    return msi


def _id(kind: str, name: str) -> str:
    return quoteattr(f"{kind}_{hashlib.sha256(name.encode()).hexdigest()[:20]}")
