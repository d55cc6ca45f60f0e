"""Who may connect."""

from http import HTTPStatus

import pytest
from websockets.datastructures import Headers

from pygnc_instruments.bridge.access import AccessRules, is_loopback

HERE = AccessRules("127.0.0.1", 8000, "http", ("https://developers.aceinna.com",))
AWAY = AccessRules("0.0.0.0", 8000, "http", (), "hush")  # noqa: S104 - what is tested


def refused(access: AccessRules, path: str = "/", *, is_websocket: bool = True, **headers: str) -> HTTPStatus | None:
    given = Headers({name.replace("_", "-"): value for name, value in headers.items()})
    reason = access.refuse(path, given, is_websocket=is_websocket)
    return None if reason is None else reason[0]


@pytest.mark.parametrize("host", ["127.0.0.1:8000", "localhost:8000", "[::1]:8000"])
def test_programs_and_the_own_page_may_connect(host: str) -> None:
    assert refused(HERE, Host=host) is None
    assert refused(HERE, Host=host, Origin=f"http://{host}") is None


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
def test_pages_of_others_may_not(origin: str) -> None:
    assert refused(HERE, Host="127.0.0.1:8000", Origin=origin) is HTTPStatus.FORBIDDEN


def test_a_page_that_was_named_may() -> None:
    assert refused(HERE, Host="127.0.0.1:8000", Origin="https://developers.aceinna.com") is None


@pytest.mark.parametrize("is_websocket", [True, False])
def test_a_strangers_name_for_this_computer_opens_nothing(is_websocket: bool) -> None:  # noqa: FBT001 - a parameter
    host = "evil.example:8000"
    status = refused(HERE, is_websocket=is_websocket, Host=host, Origin=f"http://{host}")
    assert status is HTTPStatus.MISDIRECTED_REQUEST


def test_beyond_this_computer_a_token_is_needed() -> None:
    assert refused(AWAY, Host="10.0.0.5:8000") is HTTPStatus.UNAUTHORIZED
    assert refused(AWAY, "/?token=wrong", Host="10.0.0.5:8000") is HTTPStatus.UNAUTHORIZED
    assert refused(AWAY, "/?token=hush", Host="10.0.0.5:8000") is None
    assert refused(AWAY, Host="10.0.0.5:8000", Authorization="Bearer hush") is None
    assert refused(AWAY, Host="10.0.0.5:8000", Authorization="Basic hush") is HTTPStatus.UNAUTHORIZED
    assert refused(AWAY, "/?token=hush", Host="10.0.0.5:8000", Origin="http://10.0.0.5:8000") is None
    assert refused(AWAY, "/?token=hush", Host="10.0.0.5:8000", Origin="http://evil.example") is HTTPStatus.FORBIDDEN
    assert "hush" not in repr(AWAY)


@pytest.mark.parametrize(
    ("host", "expected"),
    [("127.0.0.1", True), ("::1", True), ("localhost", True), ("0.0.0.0", False), ("pi", False)],  # noqa: S104
)
def test_loopback_is_known(host: str, expected: bool) -> None:  # noqa: FBT001 - a parameter
    assert is_loopback(host) is expected
