"""Programs beside ours that support asks about first: antivirus, and names of ODBC drivers."""

from __future__ import annotations

import re
from collections.abc import Iterable

import psutil

# Process name, lower case and without ".exe" -> product. Names as the makers' own pages use them;
# met on this project's machines: none but ClamAV. An unknown product is simply not named.
ANTIVIRUS = {
    "msmpeng": "Microsoft Defender", "wdavdaemon": "Microsoft Defender",
    "mssense": "Microsoft Defender for Endpoint", "ekrn": "ESET", "oaeventd": "ESET",
    "avastsvc": "Avast", "avgsvc": "AVG", "avp": "Kaspersky", "bdservicehost": "Bitdefender",
    "vsserv": "Bitdefender", "ccsvchst": "Norton", "nortonsecurity": "Norton",
    "mcshield": "McAfee or Trellix", "savservice": "Sophos", "sophosfilescanner": "Sophos",
    "wrsa": "Webroot", "sentinelagent": "SentinelOne", "csfalconservice": "CrowdStrike",
    "falcon-sensor": "CrowdStrike", "ntrtscan": "Trend Micro", "coreserviceshell": "Trend Micro",
    "mbamservice": "Malwarebytes", "clamd": "ClamAV", "freshclam": "ClamAV",
}  # fmt: skip
# Words names of drivers are made of. What else stands in one may be anything.
_KNOWN = frozenset(
    {"sql", "anywhere", "server", "odbc", "driver", "drivers", "client", "native", "for", "mariadb",
     "mysql", "postgresql", "ansi", "unicode", "faircom", "c-tree", "ctree", "c-treeace", "sqlite",
     "sqlite3", "virtuoso", "openlink", "microsoft", "access", "excel", "text", "dbase", "paradox",
     "oracle", "sybase", "freetds", "dentrix", "eaglesoft", "patterson", "isam", "pervasive",
     "connector", "w", "a", "32-bit", "64-bit", "x64", "x86"}
)  # fmt: skip
_VERSION = re.compile(r"v?\d{1,4}(?:\.\d{1,4}){0,3}")
OTHER = "[other]"


def antivirus() -> list[str]:
    """Products at work now, as far as their processes are known."""
    found = set()
    for process in psutil.process_iter(["name"]):
        name = (process.info["name"] or "").lower().removesuffix(".exe")
        if name in ANTIVIRUS:
            found.add(ANTIVIRUS[name])
    return sorted(found)


def shareable(names: Iterable[str]) -> list[str]:
    """The names with every word that is neither a maker's nor a version as ``[other]``."""
    return [" ".join(map(_word, re.split(r"[\s()]+", name.strip("() ")))) for name in names]


def _word(word: str) -> str:
    return word if word.lower() in _KNOWN or _VERSION.fullmatch(word) else OTHER
