"""Access rules of the bridge."""

import socket
import sys
from http import HTTPStatus

import pytest
from websockets.datastructures import Headers

from pygnc_cli.web_access import is_loopback
from pygnc_instruments.bridge.access import AccessRules, belongs_to_own_user

LOCAL = AccessRules("127.0.0.1", 8000, "http", ("https://developers.aceinna.com",))
SHARED = AccessRules("127.0.0.1", 8000, "http", (), "hush")
NETWORK = AccessRules("0.0.0.0", 8000, "http", (), "hush", is_token_required=True)  # noqa: S104 - what is tested


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


def test_programs_of_this_computer_may_read_without_the_token_but_not_command() -> None:
    host = "127.0.0.1:8000"
    assert rejection(SHARED, Host=host) is None
    assert "bridge-8000.json" in SHARED.command_refusal("/", Headers(Host=host), is_own_page=False)
    assert SHARED.command_refusal("/?token=hush", Headers(Host=host), is_own_page=False) == ""
    assert SHARED.command_refusal("/", Headers(Host=host), is_own_page=True) == ""
    assert LOCAL.command_refusal("/", Headers(Host=host), is_own_page=False) == ""
    assert rejection(SHARED, "/?token=wrong", Host=host) is HTTPStatus.UNAUTHORIZED
    assert rejection(SHARED, "/?token=hush", Host="evil.example:8000") is HTTPStatus.MISDIRECTED_REQUEST


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux lists the owners of sockets")
@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_finds_the_owner_of_a_local_connection(host: str) -> None:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.create_server((host, 0), family=family) as server, socket.create_connection(server.getsockname()[:2]):
        accepted, _ = server.accept()
        with accepted:
            client, own = accepted.getpeername()[:2], accepted.getsockname()[:2]
            assert belongs_to_own_user(client, own)
            assert not belongs_to_own_user((host, client[1] ^ 1), own)
            assert not belongs_to_own_user(client, ("127.0.0.2", own[1]))


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux lists the owners of sockets")
def test_a_closed_connection_has_no_owner() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        with socket.create_connection(server.getsockname()):
            accepted, client = server.accept()
        with accepted:
            assert not belongs_to_own_user(client, accepted.getsockname())


@pytest.mark.parametrize(
    ("host", "expected"),
    [("127.0.0.1", True), ("::1", True), ("localhost", True), ("0.0.0.0", False), ("pi", False)],  # noqa: S104
)
def test_is_loopback(host: str, expected: bool) -> None:  # noqa: FBT001 - a parameter
    assert is_loopback(host) is expected
