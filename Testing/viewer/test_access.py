"""Nobody gets anything of the viewer without its token, neither a file nor the websocket."""

import asyncio
from dataclasses import dataclass

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from axon_backend.viewer.access import address, guard, new_token

TOKEN = "the-right-token"


@dataclass
class Answer:
    status: int
    text: str
    cookies: dict[str, str]


async def page(request: web.Request) -> web.Response:
    return web.Response(text="the case")


async def socket(request: web.Request) -> web.WebSocketResponse:
    made = web.WebSocketResponse()
    await made.prepare(request)
    await made.send_str("the case")
    await made.close()
    return made


def asked(path: str, headers=None, cookies=None) -> Answer:
    """What a server behind the guard answers."""

    async def ask() -> Answer:
        app = web.Application(middlewares=[guard(TOKEN)])
        app.add_routes([web.get("/index.html", page), web.get("/ws", socket)])
        async with TestServer(app) as server, aiohttp.ClientSession() as client:
            own = {k: v.replace("OWN", f"127.0.0.1:{server.port}") for k, v in headers.items()}
            if cookies is not None:
                own["Cookie"] = f"axon_view_{server.port}={cookies}"
            url = server.make_url(path)
            if path.startswith("/ws"):
                try:
                    async with client.ws_connect(url, headers=own) as opened:
                        return Answer(101, await opened.receive_str(), {})
                except aiohttp.WSServerHandshakeError as refused:
                    return Answer(refused.status, "", {})
            async with client.get(url, headers=own) as got:
                found = {k: v.value for k, v in got.cookies.items()}
                return Answer(got.status, await got.text(), found)

    headers = headers or {}
    return asyncio.run(ask())


@pytest.mark.parametrize("path", ["/index.html", "/ws", "/nothing-here"])
@pytest.mark.parametrize(
    "token", ["", "?token=", "?token=wrong", f"?token={TOKEN[:-1]}", "?token=é"]
)
def test_refused_without_the_token(path, token):
    answer = asked(path + token)
    assert answer.status == 403
    assert "the case" not in answer.text
    assert answer.cookies == {}


def test_a_wrong_cookie_is_refused():
    assert asked("/index.html", cookies="wrong").status == 403
    assert asked("/ws", cookies="wrong").status == 403


def test_the_token_opens_the_page_and_its_cookie_the_rest():
    first = asked(f"/index.html?token={TOKEN}")
    assert (first.status, first.text) == (200, "the case")
    ((name, value),) = first.cookies.items()
    assert name.startswith("axon_view_")
    assert asked("/index.html", cookies=TOKEN).status == 200
    assert asked("/ws", cookies=TOKEN).text == "the case"
    assert value.strip('"') == TOKEN


@pytest.mark.parametrize(
    ("origin", "status"),
    [("http://OWN", 101), ("http://127.0.0.1:1", 403), ("https://example.org", 403), ("null", 403)],
)
def test_the_page_of_another_origin_gets_no_websocket(origin, status):
    """A browser sends the cookie of 127.0.0.1 to all its ports, whichever page asks."""
    assert asked("/ws", headers={"Origin": origin}, cookies=TOKEN).status == status


def test_tokens_are_long_and_new():
    tokens = {new_token() for _ in range(20)}
    assert len(tokens) == 20
    assert min(map(len, tokens)) >= 43  # 256 bits in base 64


@pytest.mark.parametrize(
    ("host", "url"),
    [
        ("127.0.0.1", "http://127.0.0.1:80/index.html?token=t"),
        ("::1", "http://[::1]:80/index.html?token=t"),
        ("0.0.0.0", "http://127.0.0.1:80/index.html?token=t"),
    ],
)
def test_address(host, url):
    assert address(host, 80, "t") == url
