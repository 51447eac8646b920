"""The data map as one self-contained HTML page: a table per stream and a filter box. Pure."""

from __future__ import annotations

from html import escape

from agent.sync.datamap import DataMap
from agent.sync.maprows import PSEUDO_TYPES, Certainty, MapRow, Way
from agent.sync.transforms import catalogue

_STYLE = """
:root { color-scheme: light dark; --line: #d5dbe1; --soft: #f4f6f8; --text: #1c2733;
  --dim: #5d6b7a; --accent: #0b6e63; --page: #fff }
@media (prefers-color-scheme: dark) { :root { --line: #35404c; --soft: #1c242d; --text: #e3e9ef;
  --dim: #98a6b4; --accent: #5cc9ba; --page: #131a21 } }
* { box-sizing: border-box }
body { margin: 0; background: var(--page); color: var(--text);
  font: 15px/1.5 system-ui, "Segoe UI", sans-serif }
header { position: sticky; top: 0; z-index: 2; background: var(--page);
  border-bottom: 1px solid var(--line); padding: .8rem 1.5rem; display: flex; gap: 1.5rem;
  align-items: center; flex-wrap: wrap }
h1 { font-size: 1.15rem; margin: 0 }
input[type=search] { font: inherit; padding: .4rem .7rem; width: 20rem; max-width: 100%;
  border: 1px solid var(--line); border-radius: .4rem; background: var(--soft);
  color: inherit }
label { color: var(--dim) }
main { padding: 0 1.5rem 3rem; max-width: 100rem }
nav { padding: .8rem 0 0; display: flex; flex-wrap: wrap; gap: .3rem 1rem }
a { color: var(--accent); text-decoration: none }
a:hover { text-decoration: underline }
h2 { font-size: 1.05rem; margin: 2rem 0 .5rem; scroll-margin-top: 4.5rem }
h2 small { color: var(--dim); font-weight: normal; margin-left: .6rem }
.scroll { overflow-x: auto; border: 1px solid var(--line); border-radius: .5rem }
table { border-collapse: collapse; width: 100%; min-width: 68rem; table-layout: fixed;
  font-size: .88rem }
col.field { width: 15% } col.kind { width: 6% } col.source { width: 23% }
col.transform { width: 24% } col.way { width: 8% } col.conflict { width: 8% }
th, td { text-align: left; vertical-align: top; padding: .35rem .7rem;
  border-bottom: 1px solid var(--line) }
tr:last-child td { border-bottom: 0 }
th { background: var(--soft); color: var(--dim); font-weight: 600; white-space: nowrap }
td { overflow-wrap: anywhere }
td:first-child { font-weight: 600 }
code { font: .84rem/1.4 ui-monospace, Consolas, monospace; overflow-wrap: anywhere }
.none td { color: var(--dim); font-weight: normal }
.both { color: var(--accent); white-space: nowrap }
.dim { color: var(--dim) }
[hidden] { display: none }
dl { display: grid; grid-template-columns: max-content 1fr; gap: .2rem 1rem; font-size: .9rem }
dt { font: .84rem/1.6 ui-monospace, Consolas, monospace } dd { margin: 0 }
"""

_SCRIPT = """
const box = document.getElementById('find'), known = document.getElementById('known');
const rows = [...document.querySelectorAll('tbody tr')].map(r => [r, r.textContent.toLowerCase()]);
const show = () => {
  const words = box.value.toLowerCase().split(/\\s+/).filter(Boolean);
  for (const [row, text] of rows)
    row.hidden = !words.every(w => text.includes(w)) ||
      (!known.checked && row.classList.contains('none'));
  for (const part of document.querySelectorAll('section[data-stream]'))
    part.hidden = !part.querySelector('tbody tr:not([hidden])');
};
box.addEventListener('input', show); known.addEventListener('change', show); show();
"""

_COLUMNS = (
    '<colgroup><col class="field"><col class="kind"><col class="source"><col class="transform">'
    '<col class="way"><col class="conflict"><col></colgroup>'
    "<thead><tr><th>CRM field</th><th>Kind</th><th>Source</th><th>Transform</th><th>Way</th>"
    "<th>In a conflict</th><th>Note</th></tr></thead>"
)
_DIM = ' class="none"'
_SURE = {
    Certainty.VENDOR: "From the maker's own pages",
    Certainty.SEVERAL: "Several sources agree",
    Certainty.SINGLE: "One source",
    Certainty.INTEGRATOR: "From an integrator's help page",
    Certainty.INFERRED: "Concluded, not read anywhere: look at a few records",
    Certainty.UNVERIFIED: "Not verified: looked for at the site, used when it is there",
}
_WAYS = {Way.TO_CRM: "to the CRM", Way.BOTH: "both ways", Way.NONE: "not carried"}


def page(datamap: DataMap) -> str:
    """The whole page as text."""
    grouped = {stream: datamap.of(stream) for stream in datamap.streams}
    links = "".join(f'<a href="#{s.value}">{_words(s.value)}</a>' for s in grouped)
    tables = "".join(_section(s.value, rows) for s, rows in grouped.items())
    terms = "".join(
        f"<dt>{escape(name)}</dt><dd>{escape(word.meaning)}</dd>"
        for name, word in catalogue.items()
    )
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>Bridgework data map</title><style>{_STYLE}</style></head><body>"
        '<header><h1>Data map</h1><input type="search" id="find" autofocus '
        'placeholder="Filter, e.g. phone or AptStatus" aria-label="Filter">'
        '<label><input type="checkbox" id="known"> also columns that are not carried</label>'
        f'</header><main><nav>{links}<a href="#words">Transforms</a></nav>{tables}'
        f'<section><h2 id="words">Transforms</h2><dl>{terms}</dl></section></main>'
        f"<script>{_SCRIPT}</script></body></html>\n"
    )


def _section(stream: str, rows: list[MapRow]) -> str:
    mapped = sum(row.is_mapped for row in rows)
    body = "".join(map(_row, rows))
    return (
        f'<section data-stream="{stream}"><h2 id="{stream}">{_words(stream)}'
        f"<small>{mapped} fields</small></h2>"
        f'<div class="scroll"><table>{_COLUMNS}'
        f"<tbody>{body}</tbody></table></div></section>"
    )


def _row(row: MapRow) -> str:
    source = f"{row.table}.{row.column}" if row.column else ""
    is_real = row.source_type and row.source_type not in PSEUDO_TYPES
    kind = f' <span class="dim">{escape(row.source_type)}</span>' if is_real else ""
    notes = [
        f"{row.note[:1].upper()}{row.note[1:]}." if row.note else "",
        f"Since {row.since}." if row.since else "",
        "Required." if row.required else "",
        f"{_SURE[row.certainty]}." if row.certainty else "",
    ]
    way = f' class="{row.direction.value}"' if row.direction is not Way.TO_CRM else ""
    conflict = row.on_conflict.value if row.direction is Way.BOTH else ""
    return (
        f"<tr{_DIM if not row.is_mapped else ''}><td>{escape(row.field) or '&ndash;'}</td>"
        f"<td>{escape(row.crm_type)}</td>"
        f"<td><code>{escape(source)}</code>{kind}</td>"
        f"<td><code>{_breakable(row.written)}</code></td>"
        f"<td{way}>{_WAYS[row.direction]}</td><td>{escape(conflict)}</td>"
        f"<td>{escape(' '.join(filter(None, notes)))}</td></tr>"
    )


def _breakable(transform: str) -> str:
    """Long word lists wrap between their entries."""
    return escape(transform).replace(";", ";<wbr>").replace(":", ":<wbr>", 1)


def _words(name: str) -> str:
    return escape(name.replace("_", " ").capitalize())
