"""The identity server's pages for people who sign in for an application."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

from sandbox.http import HTML, Response

if TYPE_CHECKING:
    from collections.abc import Iterable

STYLE = """
body{margin:0;min-height:100vh;display:grid;place-items:center;background:#eef1f5;
font:16px/1.5 system-ui,sans-serif;color:#1d2733}
main{background:#fff;padding:2rem;border-radius:8px;width:22rem;box-shadow:0 2px 12px #0002}
h1{font-size:1.25rem;margin:0 0 1rem}
label{display:block;margin:.75rem 0 .25rem}
input{box-sizing:border-box;width:100%;padding:.5rem;font:inherit}
button{margin:1.25rem .5rem 0 0;padding:.5rem 1.25rem;font:inherit}
.wrong{color:#a1260d}
"""
DESCRIPTIONS = {
    "api": "Read and change data through the web services and OData",
    "api:concurrent_access": "Use several sessions at once",
    "offline_access": "Go on while you are away",
    "openid": "Know who you are",
}


def page(title: str, body: str, status: int = 200) -> Response:
    """Return a page of the identity server."""
    text = (
        f"<!DOCTYPE html><html lang=en><head><meta charset=utf-8><title>{escape(title)}</title>"
        f"<style>{STYLE}</style></head><body><main><h1>{escape(title)}</h1>{body}</main></body>"
        "</html>"
    )
    return Response(status, text.encode(), HTML)


def sign_in(tenant: str, *, wrong: bool = False) -> Response:
    """Return the page that asks for user name and password."""
    note = "<p class=wrong role=alert>The user name or password is wrong.</p>" if wrong else ""
    return page(
        f"Sign in to {tenant}",
        f"{note}<form method=post><label for=username>User name</label>"
        "<input id=username name=username autocomplete=username autofocus>"
        "<label for=password>Password</label>"
        "<input id=password name=password type=password autocomplete=current-password>"
        "<button name=step value=sign-in>Sign in</button></form>",
    )


def consent(ticket: str, tenant: str, scopes: Iterable[str]) -> Response:
    """Return the page that asks a person to consent."""
    items = "".join(
        f"<li>{escape(DESCRIPTIONS.get(scope, scope))}</li>" for scope in sorted(scopes)
    )
    return page(
        "Let the application in?",
        f"<p>An application asks to, in <b>{escape(tenant)}</b>:</p><ul>{items}</ul>"
        f"<form method=post><input type=hidden name=ticket value={escape(ticket)}>"
        "<button name=step value=allow>Allow</button>"
        "<button name=step value=deny>Deny</button></form>",
    )


def error(text: str, status: int) -> Response:
    """Return an error page."""
    return page("Error", f"<p class=wrong>{escape(text)}</p>", status)
