"""The report of a go-live test: signed, saved twice (JSON to check, HTML to read), compared.

The signature is this installation's own (ES384, the key the CRM knows it by): whoever holds the
public key can tell that the report is the agent's and unchanged.
"""

from __future__ import annotations

import hashlib
import html
from pathlib import Path
from typing import Any

import msgspec

from agent.config.store import write_atomic
from agent.crm.pairing import kid_of, seal_digest, sealed_digest
from agent.model.golive import GoLiveReport, Proof, SignedReport
from agent.support.messages import Catalogue

BASELINE = "golive-baseline.json"


def signed(report: GoLiveReport, jwk: dict[str, Any]) -> SignedReport:
    text = msgspec.json.format(msgspec.json.encode(report)).decode()
    return SignedReport(text, kid_of(jwk), seal_digest(jwk, _digest(text)))


def is_genuine(report: SignedReport, jwk: dict[str, Any]) -> bool:
    """Signed by this key, and not a character changed since."""
    return sealed_digest(jwk, report.signature) == _digest(report.report)


def read(path: Path) -> SignedReport:
    """Raises OSError, msgspec.DecodeError."""
    return msgspec.json.decode(path.read_bytes(), type=SignedReport)


def opened(report: SignedReport) -> GoLiveReport:
    return msgspec.json.decode(report.report, type=GoLiveReport)


def save(report: SignedReport, folder: Path, catalogue: Catalogue) -> tuple[Path, Path]:
    """(JSON, HTML), named by the run's time. The first that passed at a site is its baseline."""
    made = opened(report)
    stem = "golive-" + made.made_at.replace(":", "").replace("-", "")
    folder.mkdir(parents=True, exist_ok=True)
    as_json, as_html = folder / f"{stem}.json", folder / f"{stem}.html"
    content = msgspec.json.format(msgspec.json.encode(report))
    write_atomic(as_json, content)
    write_atomic(as_html, page(report, catalogue).encode())
    if made.passed and not made.is_sample and not (folder / BASELINE).exists():
        write_atomic(folder / BASELINE, content)
    return as_json, as_html


def page(report: SignedReport, catalogue: Catalogue) -> str:
    """One page a person can read and print; no script, nothing fetched."""
    made = opened(report)
    verdict = "All five tests passed" if made.passed else "Not all tests passed"
    facts = [
        ("Practice", made.practice_id + (" (sample practice)" if made.is_sample else "")),
        ("Practice system", f"{made.pms_kind} {made.pms_version}"),
        ("Writes through", made.writer or "people (desk tasks)"),
        ("Run at", made.made_at),
        ("Agent", made.agent_version),
        ("Practice to CRM, crowd", _times(made)),
        ("Test records left behind", str(made.left_behind)),
    ]
    rows = "".join(f"<tr><th>{_e(k)}</th><td>{_e(v)}</td></tr>" for k, v in facts)
    tests = "".join(_proof(proof, catalogue) for proof in made.proofs)
    mood = "pass" if made.passed else "fail"
    return (
        "<!doctype html><html lang=en><meta charset=utf-8>"
        "<meta name=viewport content='width=device-width,initial-scale=1'>"
        f"<title>Go-live report</title><style>{_STYLE}</style><main>"
        f"<h1>Go-live report</h1><p class='verdict {mood}'>{_e(verdict)}</p>"
        f"<table class=facts>{rows}</table>{tests}"
        f"<footer><p>Signed by this installation, key {_e(report.key_id)}.</p>"
        f"<code>{_e(report.signature)}</code></footer></main></html>\n"
    )


def _proof(proof: Proof, catalogue: Catalogue) -> str:
    title = catalogue.render(f"golive.test_{proof.test.value}", {}).title
    mood, word = ("pass", "Passed") if proof.passed else ("fail", "Failed")
    if proof.skipped:
        why = catalogue.render(proof.skipped, {}).title
        heading = f"<h2>{_e(title)} <span class=fail>Not run</span></h2>"
        return f"<section>{heading}<p>{_e(why)}</p></section>"
    steps = "".join(
        f"<tr><td class={'pass' if s.passed else 'fail'}>{'ok' if s.passed else 'FAIL'}</td>"
        f"<td>{_e(catalogue.render(s.code, dict(s.facts)).title)}</td>"
        f"<td class=ms>{'' if s.took_ms is None else f'{s.took_ms:,.0f} ms'}</td></tr>"
        for s in proof.steps
    )
    return (
        f"<section><h2>{_e(title)} <span class={mood}>{word}</span></h2>"
        f"<table>{steps}</table></section>"
    )


def _times(made: GoLiveReport) -> str:
    if made.median_ms is None or made.slowest_ms is None:
        return "not measured"
    return f"median {made.median_ms:,.0f} ms, slowest {made.slowest_ms:,.0f} ms"


def _digest(text: str) -> bytes:
    return hashlib.sha256(text.encode()).digest()


def _e(text: str) -> str:
    return html.escape(text)


_STYLE = """
:root{color-scheme:light dark}
body{font:16px/1.5 system-ui,sans-serif;margin:0;background:Canvas;color:CanvasText}
main{max-width:46rem;margin:2rem auto;padding:0 1rem}
h1{margin:0 0 .5rem}h2{font-size:1.05rem;margin:1.6rem 0 .4rem}
table{border-collapse:collapse;width:100%}td,th{text-align:left;padding:.3rem .5rem;
border-bottom:1px solid color-mix(in srgb,CanvasText 15%,Canvas);vertical-align:top}
.facts th{font-weight:600;width:14rem}section td:first-child{width:2.5rem}
.ms{text-align:right;white-space:nowrap}
.verdict{font-size:1.2rem;font-weight:600}.pass{color:light-dark(#14602f,#7fd89c)}
.fail{color:light-dark(#9b1c1c,#ff9a9a)}h2 span{font-weight:500;margin-left:.5rem}
footer{margin:2rem 0;font-size:.85rem}code{overflow-wrap:anywhere}
@media print{body{font-size:12px}}
"""
