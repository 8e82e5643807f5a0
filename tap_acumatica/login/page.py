"""The last page of a sign-in, to which the browser is redirected."""

from __future__ import annotations

from html import escape
from typing import Final

STYLE: Final = """
:root{color-scheme:light dark;--back:#f4f6f8;--card:#fff;--text:#17212b;--soft:#566573;
--edge:#dfe4ea;--good:#18794e;--good-soft:#e3f5ec;--bad:#b3261e;--bad-soft:#fbe9e7;--code:#eef1f4}
@media(prefers-color-scheme:dark){:root{--back:#0f151b;--card:#18212a;--text:#e8edf2;
--soft:#9fb0bf;--edge:#283541;--good:#5fd39b;--good-soft:#16352a;--bad:#ff9c92;
--bad-soft:#3d201e;--code:#222e39}}
*{box-sizing:border-box}
body{margin:0;min-height:100vh;display:grid;place-items:center;padding:1.5rem;
background:var(--back);color:var(--text);
font:1rem/1.6 system-ui,-apple-system,"Segoe UI",Roboto,"Helvetica Neue",Arial,sans-serif}
main{width:100%;max-width:30rem;padding:2.5rem 2.25rem 1.75rem;background:var(--card);
border:1px solid var(--edge);border-radius:16px;
box-shadow:0 1px 2px #0000000d,0 12px 32px #00000014;text-align:center}
.mark{display:inline-grid;place-items:center;width:4rem;height:4rem;border-radius:50%;
margin-bottom:1.25rem;background:var(--good-soft);color:var(--good)}
.bad .mark{background:var(--bad-soft);color:var(--bad)}
svg{width:2rem;height:2rem;fill:none;stroke:currentColor;stroke-width:2.5;stroke-linecap:round;
stroke-linejoin:round}
h1{margin:0 0 .5rem;font-size:1.5rem;line-height:1.25;font-weight:650;letter-spacing:-.01em;
text-wrap:balance}
p{margin:.5rem 0;color:var(--soft);overflow-wrap:anywhere;text-wrap:balance}
code{padding:.1em .4em;border-radius:5px;background:var(--code);color:var(--text);
font:.9em ui-monospace,"SF Mono",Menlo,Consolas,monospace;white-space:nowrap}
dl{display:grid;grid-template-columns:auto 1fr;gap:.4rem 1.25rem;margin:1.5rem 0;
padding:1rem 1.25rem;border-radius:10px;background:var(--code);text-align:left}
dt{color:var(--soft)}
dd{margin:0;font-weight:600;overflow-wrap:anywhere}
footer{margin-top:1.75rem;padding-top:1.1rem;border-top:1px solid var(--edge);
font-size:.85rem;color:var(--soft)}
@media(max-width:26rem){main{padding:2rem 1.25rem 1.25rem}dl{grid-template-columns:1fr;gap:0}
dd+dt{margin-top:.6rem}}
"""
TICK: Final = '<path d="M5 12.5l4.5 4.5L19 7.5"/>'
CROSS: Final = '<path d="M7 7l10 10M17 7L7 17"/>'


def done(tenant: str, site: str) -> str:
    """Return the page of a successful sign-in."""
    return _page(
        "good",
        TICK,
        "You are signed in",
        "<p>tap-acumatica can now read</p>"
        f"<dl><dt>Tenant</dt><dd>{escape(tenant)}</dd><dt>Site</dt><dd>{escape(site)}</dd></dl>"
        "<p>Close this window and go back to the terminal.</p>",
    )


def failed(sentence: str) -> str:
    """Return the page of a failed sign-in."""
    text = "<code>".join(escape(sentence).split("`", 1))
    text = "</code>".join(text.split("`", 1))
    return _page("bad", CROSS, "You are not signed in", f"<p>{text}</p>")


def _page(status: str, mark: str, title: str, body: str) -> str:
    return (
        '<!DOCTYPE html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        f'<link rel="icon" href="data:,"><title>{title} · tap-acumatica</title>'
        f'<style>{STYLE}</style></head><body><main class="{status}">'
        f'<div class="mark"><svg viewBox="0 0 24 24" aria-hidden="true">{mark}</svg></div>'
        f"<h1>{title}</h1>{body}"
        "<footer>Served by tap-acumatica on this machine</footer></main></body>"
        "</html>"
    )
