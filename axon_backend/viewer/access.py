"""Access control of the viewer: only a browser that was given the token is served.

The printed address holds the token. The first request with it gets a cookie, which authorises the
files and the websocket of the page. A page of another origin, in the same browser, is refused even
if the browser sends the cookie.
"""

from __future__ import annotations

import hmac
import secrets
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from aiohttp import web

REFUSED = "403: this page can only be opened with the complete address that `axon view` printed.\n"

Handler = Callable[[Any], Awaitable[Any]]


def new_token() -> str:
    """A token of 256 random bits."""
    return secrets.token_urlsafe(32)


def address(host: str, port: int, token: str) -> str:
    """The address to open; if all interfaces are served, that of this computer."""
    name = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)
    name = f"[{name}]" if ":" in name else name
    return f"http://{name}:{port}/index.html?token={token}"


def guard(token: str) -> Any:
    """An aiohttp middleware that answers 403 to every request, the websocket's included, without
    the token as ``?token=`` or as the cookie that an earlier request with it received."""
    from aiohttp import web

    @web.middleware
    async def only_with_token(request: web.Request, handler: Handler) -> web.StreamResponse:
        # Cookies are shared by all ports of a host, so two viewers need two names.
        cookie = f"axon_view_{_port(request)}"
        asked = _same(request.query.get("token", ""), token)
        if not _own_page(request) or not (asked or _same(request.cookies.get(cookie, ""), token)):
            return web.Response(status=403, text=REFUSED)
        response = await handler(request)
        if not response.prepared:
            response.headers["Referrer-Policy"] = "no-referrer"
            if asked:
                response.set_cookie(cookie, token, httponly=True, samesite="Strict", path="/")
        return response

    return only_with_token


def _same(one: str, other: str) -> bool:
    return hmac.compare_digest(one.encode(errors="replace"), other.encode())


def _own_page(request: web.Request) -> bool:
    """False for a request that the page of another origin makes."""
    origin = request.headers.get("Origin")
    return origin is None or urlsplit(origin).netloc == request.host


def _port(request: web.Request) -> int:
    where = None if request.transport is None else request.transport.get_extra_info("sockname")
    return int(where[1]) if where else 0
