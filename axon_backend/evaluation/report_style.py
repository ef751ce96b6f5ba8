"""The page of a `report.html`: light, dark and on paper, without any file from elsewhere."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable
from html import escape

STYLE = """\
:root {
  color-scheme: light dark;
  --page: #ffffff; --ink: #1b1f24; --quiet: #57606a; --line: #d0d7de; --band: #f6f8fa;
  --alarm: #a40e26; --alarm-band: #ffebe9; --good: #116329; --fair: #7d4e00; --poor: #a40e26;
}
@media (prefers-color-scheme: dark) {
  :root {
    --page: #0d1117; --ink: #e6edf3; --quiet: #9198a1; --line: #3d444d; --band: #161b22;
    --alarm: #ffa198; --alarm-band: #3c1618; --good: #56d364; --fair: #e3b341; --poor: #ffa198;
  }
}
* { box-sizing: border-box; }
body {
  margin: 0 auto; padding: 1.5rem 1rem 3rem; max-width: 62rem; background: var(--page);
  color: var(--ink); font: 16px/1.5 system-ui, "Segoe UI", Roboto, Arial, sans-serif;
}
h1 { font-size: 1.6rem; margin: 0 0 .5rem; }
h2 { font-size: 1.2rem; margin: 2rem 0 .6rem; border-bottom: 1px solid var(--line); }
h3 { font-size: 1rem; margin: 1.2rem 0 .3rem; }
.disclaimer {
  font-weight: 700; font-size: 1.1rem; color: var(--alarm); background: var(--alarm-band);
  border: 2px solid var(--alarm); border-radius: 6px; padding: .6rem .9rem; margin: .5rem 0;
}
dl { display: grid; grid-template-columns: minmax(8rem, max-content) 1fr; gap: .2rem 1rem;
  margin: .4rem 0; }
dt { color: var(--quiet); }
dd { margin: 0; overflow-wrap: anywhere; }
.notes { font-size: .85rem; }
ul { margin: .4rem 0; padding-left: 1.3rem; }
.warnings li { color: var(--alarm); }
.wide { overflow-x: auto; }
table { border-collapse: collapse; margin: .6rem 0; font-variant-numeric: tabular-nums; }
th, td { border: 1px solid var(--line); padding: .3rem .6rem; text-align: left; }
th { background: var(--band); }
.number { text-align: right; }
.badge { font-weight: 700; border: 1px solid currentcolor; border-radius: 4px; padding: 0 .4rem; }
.good { color: var(--good); } .fair { color: var(--fair); } .poor { color: var(--poor); }
code { font: .9em ui-monospace, Consolas, monospace; overflow-wrap: anywhere; }
figure { margin: .6rem 0; break-inside: avoid; }
img { max-width: 100%; height: auto; background: #000; }
figcaption { color: var(--quiet); font-size: .9rem; }
footer { margin-top: 2rem; border-top: 1px solid var(--line); color: var(--quiet); }
@media print {
  :root {
    --page: #ffffff; --ink: #000000; --quiet: #444444; --line: #999999; --band: #f0f0f0;
    --alarm: #a40e26; --alarm-band: #ffffff; --good: #116329; --fair: #7d4e00; --poor: #a40e26;
  }
  body { max-width: none; padding: 0; font-size: 10pt; }
  h2, h3 { break-after: avoid; }
  tr, dl { break-inside: avoid; }
  .wide { overflow: visible; }
  img { max-height: 24cm; }
}
"""


def page(
    title: str,
    heading: str,
    sections: Iterable[tuple[str, str]],
    footer: str,
    *,
    date: str = "",
    style: str = "",
    tools: str = "",
    script: str = "",
) -> str:
    """A whole page as HTML5. A content security policy forbids all that is not in it.

    Args:
        title: of the window; plain text, as are ``heading``, ``footer`` and ``date``.
        heading: over the page; below it stands that it is for research only.
        sections: headings in plain text with their HTML; those without content are left out.
        footer: the last line.
        date: when it was made.
        style: CSS after the common one.
        tools: HTML after the footer.
        script: the only JavaScript that may run.
    """
    permit = "img-src data:; style-src 'unsafe-inline'"
    if script:
        digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
        permit += f";\nscript-src 'sha256-{digest}'"
    body = "\n".join(
        f"<section>\n<h2>{escape(name)}</h2>\n{content}\n</section>"
        for name, content in sections
        if content
    )
    made = f"<p>{escape(date)}</p>\n" if date else ""
    after = tools + (f"<script>{script}</script>\n" if script else "")
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta http-equiv="Content-Security-Policy"
content="default-src 'none'; {permit}">
<title>{escape(title)}</title>
<style>
{STYLE}{style}</style>
</head>
<body>
<header>
<h1>{escape(heading)}</h1>
<p class="disclaimer">Research use only. Not for diagnosis.</p>
{made}</header>
<main>
{body}
</main>
<footer><p>{escape(footer)}</p></footer>
{after}</body>
</html>
"""
