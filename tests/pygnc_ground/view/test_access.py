"""Links, cookies, hosts and origins."""

from http import HTTPStatus
from pathlib import Path

import pytest

from pygnc_ground.view.access import Access

OWN = {"Host": "127.0.0.1:8020"}


def made(folder: Path, port: int = 8020) -> tuple[Access, list[str]]:
    links: list[str] = []
    return Access(port, folder / ".pygnc" / "view.json", links.append), links


def token(link: str) -> str:
    return link.partition("token=")[2]


def test_a_link_works_once_and_is_replaced(tmp_path: Path) -> None:
    access, links = made(tmp_path)
    assert not access.takes_link("")
    assert not access.takes_link("other")
    assert access.takes_link(token(links[0]))
    assert not access.takes_link(token(links[0]))
    assert len(links) == 2
    assert access.takes_link(token(links[1]))


def test_the_cookie_is_for_this_server_only(tmp_path: Path) -> None:
    access, _ = made(tmp_path)
    cookie, *attributes = access.cookie.split("; ")
    assert {"HttpOnly", "SameSite=Strict", "Path=/"} == set(attributes)
    assert access.rejection({**OWN, "Cookie": cookie}) is None
    other = made(tmp_path, 8021)[0]
    assert other.rejection({"Host": "127.0.0.1:8021", "Cookie": cookie}) is not None


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        (OWN, HTTPStatus.UNAUTHORIZED),
        ({**OWN, "Cookie": "pygnc-view-8020=guess"}, HTTPStatus.UNAUTHORIZED),
        ({**OWN, "Cookie": "\x00;;=;[]"}, HTTPStatus.UNAUTHORIZED),
        ({"Host": "evil.example:8020"}, HTTPStatus.MISDIRECTED_REQUEST),
        ({}, HTTPStatus.MISDIRECTED_REQUEST),
        ({**OWN, "Origin": "http://evil.example"}, HTTPStatus.FORBIDDEN),
        ({**OWN, "Origin": "http://127.0.0.1:8021"}, HTTPStatus.FORBIDDEN),
        ({**OWN, "Origin": "null"}, HTTPStatus.FORBIDDEN),
    ],
)
def test_other_requests_are_rejected(tmp_path: Path, headers: dict[str, str], status: HTTPStatus) -> None:
    found = made(tmp_path)[0].rejection(headers)
    assert found is not None
    assert found[0] is status


def test_the_secret_survives_a_restart_in_a_private_file(tmp_path: Path) -> None:
    cookie = made(tmp_path)[0].cookie
    file = tmp_path / ".pygnc" / "view.json"
    assert file.stat().st_mode & 0o777 == 0o600
    assert made(tmp_path)[0].cookie == cookie
    file.chmod(0o644)  # others may have read it
    assert made(tmp_path)[0].cookie != cookie
    file.write_text("[]")
    assert made(tmp_path)[0].cookie != cookie
