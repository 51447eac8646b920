"""From this repository to a signed MSI, with one command on Linux.

python3 installer/build.py                       signed with a certificate made for testing
python3 installer/build.py --cert c.pem --key k.pem [--timestamp URL]
python3 installer/build.py --cert c.pem --key pkcs11:... --pkcs11 MODULE.so
python3 installer/build.py --until frozen        stop after a step

Needs root (the Wine root is entered with chroot). Steps are kept in a cache folder (--cache, or
BRIDGEWORK_BUILD_CACHE) and done again only when something they are made of has changed.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))


def main(arguments: Sequence[str]) -> int:
    import dev

    tools = {
        "mmdebstrap": ("mmdebstrap",),
        "msitools": ("msibuild",),
        "osslsigncode": ("osslsigncode",),
        "wixl": ("wixl",),
    }
    if not (dev.ensure_environment() and dev.ensure_resolver() and dev.ensure_packages(tools)):
        return 1
    if Path(sys.prefix) != dev.VENV:  # the build's own tools live in the environment
        return subprocess.run([dev.PYTHON, __file__, *arguments], check=False).returncode
    from installer.steps import BuildError

    asked = _parse(arguments)
    try:
        return build(asked)
    except BuildError as error:
        print(f"\n{error}", file=sys.stderr)
        return 1


def build(asked: argparse.Namespace) -> int:
    from installer import bundle, freeze, interpreter, msi, winebox
    from installer.pins import load_pins, product_version
    from installer.release import OFFER, offer_of, update_key
    from installer.sign import Signer, test_signer
    from installer.steps import run_step
    from installer.tables import product_code
    from installer.variants import LANE, USUAL, variant_step
    from installer.winget import winget_files

    started = time.monotonic()
    pins = load_pins()
    version, commit = asked.version or product_version(), asked.commit or _commit()
    cache: Path = asked.cache
    cache.mkdir(parents=True, exist_ok=True)
    signer = (
        Signer(asked.cert, asked.key, asked.pkcs11, asked.timestamp)
        if asked.cert
        else test_signer(cache / "test-certificate")
    )
    updates = update_key(asked.update_key or cache / "test-certificate" / "update.pem")
    print(f"Bridgework {version} ({commit[:12]})")

    python_step = interpreter.interpreter_step(pins.interpreter)
    python = run_step(python_step, cache)
    wheels_step = freeze.wheels_step(pins.interpreter)
    wheels = run_step(wheels_step, cache)
    root_step = winebox.root_step(pins.wine)
    box = winebox.WineBox(run_step(root_step, cache) / "root", cache / "work")
    asked.out.mkdir(parents=True, exist_ok=True)
    made: list[Path] = []
    frozen_step = freeze.freeze_step(
        python, wheels, box,
        version=version, company=pins.product.manufacturer,
        made_of=python_step.key + wheels_step.key + root_step.key,
    )  # fmt: skip
    frozen = run_step(frozen_step, cache)
    if asked.until == "frozen":
        return 0
    for variant in (USUAL, *(LANE if asked.lane else ())):
        one = variant.version(version)
        step = frozen_step
        if variant is not USUAL:
            step = variant_step(frozen, box, variant, one, frozen_step.key)
        bundle_step = bundle.bundle_step(
            run_step(step, cache), wheels, python,
            product=pins.product, version=one, signer=signer, updates=updates,
            made_of=step.key, suffix=variant.suffix,
        )  # fmt: skip
        bundled = run_step(bundle_step, cache)
        msi_step = msi.msi_step(
            bundled, product=pins.product, version=one, commit=commit, made_of=bundle_step.key
        )
        unsigned = run_step(msi_step, cache) / f"Bridgework-{one}.msi"
        made.append(asked.out / unsigned.name)
        shutil.copy(unsigned, made[-1])
        signer.sign(made[-1], f"Bridgework {one}")
        if variant is USUAL:
            shutil.copy(bundled / "Bridgework" / bundle.SBOM, asked.out)
    final = made[0]
    (asked.out / OFFER).write_bytes(updates.seal(offer_of(final, version, asked.url)))
    digest = hashlib.sha256(final.read_bytes()).hexdigest()
    final.with_suffix(".msi.sha256").write_text(f"{digest}  {final.name}\n")
    manifest = winget_files(
        pins.product,
        version=version,
        url=f"{asked.url.rstrip('/')}/{final.name}",
        sha256=digest,
        product_code=product_code(final),
    )
    (asked.out / "winget").mkdir(exist_ok=True)
    for name, text in manifest.items():
        (asked.out / "winget" / name).write_text(text, encoding="utf-8")
    size_mb = final.stat().st_size / 1e6
    print(f"\n{final}\n{size_mb:.1f} MB, {time.monotonic() - started:.0f} s, SHA-256 {digest}")
    if size_mb > pins.msi_budget_mb:
        print(f"Larger than the budget of {pins.msi_budget_mb} MB.", file=sys.stderr)
    return 0


def _parse(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    usual = os.environ.get("BRIDGEWORK_BUILD_CACHE") or Path.home() / ".cache/bridgework-build"
    parser.add_argument("--cache", type=Path, default=Path(usual), help="kept between builds")
    parser.add_argument("--out", type=Path, default=ROOT / "dist", help="where the MSI goes")
    parser.add_argument("--version", help="a.b.c; the agent's own by default")
    parser.add_argument("--commit", help="enters the product code; HEAD by default")
    parser.add_argument(
        "--lane", action="store_true",
        help="for the Wine lane: the next version too, and one that does not work",
    )  # fmt: skip
    parser.add_argument("--until", choices=["frozen", "msi"], default="msi")
    parser.add_argument(
        "--url", default="https://bridgework.example/download", metavar="FOLDER",
        help="where the MSI will be fetched from; enters the winget manifest",
    )  # fmt: skip
    parser.add_argument(
        "--update-key", type=Path, metavar="PEM",
        help="ed25519 key that signs the offer of this version; one made for testing by default",
    )  # fmt: skip
    parser.add_argument("--cert", type=Path, help="PEM; a test certificate by default")
    parser.add_argument("--key", default="", help="PEM file or PKCS#11 URI")
    parser.add_argument("--pkcs11", default="", metavar="MODULE", help="the token's library")
    parser.add_argument("--timestamp", default="", metavar="URL", help="RFC 3161 time-stamp server")
    asked = parser.parse_args(arguments)
    if asked.cert and not asked.key:
        parser.error("--cert needs --key")
    return asked


def _commit() -> str:
    done = subprocess.run(
        ["git", "rev-parse", "HEAD"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    return done.stdout.strip() or "unversioned"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
