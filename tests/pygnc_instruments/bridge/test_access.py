"""Access rules of the bridge."""

from http import HTTPStatus

import pytest
from websockets.datastructures import Headers

from pygnc_instruments.bridge.access import AccessRules, is_loopback

LOCAL = AccessRules("127.0.0.1", 8000, "http", ("https://developers.aceinna.com",))
NETWORK = AccessRules("0.0.0.0", 8000, "http", (), "hush")  # noqa: S104 - what is tested


def rejection(access: AccessRules, path: str = "/", *, is_websocket: bool = True, **headers: str) -> HTTPStatus | None:
    given = Headers({name.replace("_", "-"): value for name, value in headers.items()})
    reason = access.rejection(path, given, is_websocket=is_websocket)
    return None if reason is None else reason[0]


@pytest.mark.parametrize("host", ["127.0.0.1:8000", "localhost:8000", "[::1]:8000"])
def test_programs_and_the_bridges_own_page_may_connect(host: str) -> None:
    assert rejection(LOCAL, Host=host) is None
    assert rejection(LOCAL, Host=host, Origin=f"http://{host}") is None


@pytest.mark.parametrize(
    "origin",
    [
        "http://evil.example",
        "https://127.0.0.1:8000",
        "http://127.0.0.1:9000",
        "http://127.0.0.1",
        "null",
        "http://[",
        "",
    ],
)
def test_foreign_pages_may_not_connect(origin: str) -> None:
    assert rejection(LOCAL, Host="127.0.0.1:8000", Origin=origin) is HTTPStatus.FORBIDDEN


def test_an_allowed_origin_may_connect() -> None:
    assert rejection(LOCAL, Host="127.0.0.1:8000", Origin="https://developers.aceinna.com") is None


@pytest.mark.parametrize("is_websocket", [True, False])
def test_rejects_a_foreign_name_that_resolves_to_this_computer(is_websocket: bool) -> None:  # noqa: FBT001 - a parameter
    host = "evil.example:8000"
    status = rejection(LOCAL, is_websocket=is_websocket, Host=host, Origin=f"http://{host}")
    assert status is HTTPStatus.MISDIRECTED_REQUEST


def test_other_computers_need_the_token() -> None:
    assert rejection(NETWORK, Host="10.0.0.5:8000") is HTTPStatus.UNAUTHORIZED
    assert rejection(NETWORK, "/?token=wrong", Host="10.0.0.5:8000") is HTTPStatus.UNAUTHORIZED
    assert rejection(NETWORK, "/?token=hush", Host="10.0.0.5:8000") is None
    assert rejection(NETWORK, Host="10.0.0.5:8000", Authorization="Bearer hush") is None
    assert rejection(NETWORK, Host="10.0.0.5:8000", Authorization="Basic hush") is HTTPStatus.UNAUTHORIZED
    assert rejection(NETWORK, "/?token=hush", Host="10.0.0.5:8000", Origin="http://10.0.0.5:8000") is None
    assert (
        rejection(NETWORK, "/?token=hush", Host="10.0.0.5:8000", Origin="http://evil.example") is HTTPStatus.FORBIDDEN
    )
    assert "hush" not in repr(NETWORK)


@pytest.mark.parametrize(
    ("host", "expected"),
    [("127.0.0.1", True), ("::1", True), ("localhost", True), ("0.0.0.0", False), ("pi", False)],  # noqa: S104
)
def test_is_loopback(host: str, expected: bool) -> None:  # noqa: FBT001 - a parameter
    assert is_loopback(host) is expected
