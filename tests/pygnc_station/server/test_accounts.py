"""People sign in with roles; sessions expire; other pages change nothing; every change is in the audit log."""

import base64
import hashlib
import json
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Self

import httpx
import pyotp
import pytest
from sqlalchemy import select
from typer.testing import CliRunner

from pygnc_station.commands.main import app
from pygnc_station.errors import StationError
from pygnc_station.server import access, accounts
from pygnc_station.server.accounts import IDLE_MS, LONGEST_MS, Role
from pygnc_station.store import schema
from pygnc_station.store.readings import clock_ms
from pygnc_station.store.store import Store
from tests.pygnc_station.server.samples import Running, server
from tests.pygnc_station.server.test_colocation import TRUTH, fill_co_location
from tests.pygnc_station.store.samples import LAYOUT, new

NOW_MS = 1_790_000_000_000
WORD = "correct horse battery"
BESIDE = {"gadget": "UNIT", "reference": "STATION", "value": "pm_2_5_ug_m3", "reference_value": "pm25"}
RULE = {"values": ["pm_2_5_ug_m3"], "above": 25.0}


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store.open(str(tmp_path / "central.db")) as opened:
        yield opened


@pytest.fixture
def there(tmp_path: Path) -> Iterator[Running]:
    """Server that requires a sign-in, with a user of each role, a gateway and a gadget."""
    with server(tmp_path / "server", open=False) as running:
        for role in Role:
            add(running.store, role.value, role)
        running.new_key("roof")
        running.store.append(running.store.stream("OPC_7", LAYOUT), [new(0)])
        fill_co_location(running.store)
        yield running


def add(store: Store, name: str, role: Role = Role.VIEWER, now_ms: int = NOW_MS) -> None:
    with store.writes() as connection:
        accounts.add_user(connection, name, WORD, role, now_ms)


class Browser(httpx.Client):
    """Client that behaves like the page in a browser."""

    def __init__(self, there: Running, user: str = "") -> None:
        super().__init__(base_url=there.url, headers={"origin": there.url})
        self.user = user

    def __enter__(self) -> Self:
        super().__enter__()
        if self.user:
            self.answer = self.post("/sign-in", data={"user": self.user, "password": WORD})
            self.headers["x-csrf-token"] = self.get("/api/v1/session/").json().get("csrf", "")
        return self

    def change(self, method: str, path: str, body: object = None) -> int:
        return self.request(method, f"/api/v1/{path}", json=body).status_code


def entries(store: Store) -> list[tuple[str, str, str]]:
    with store.reads() as connection:
        return [(row.who, row.origin, row.action) for row in reversed(list(accounts.audited(connection, 100)))]


CHANGES: list[tuple[str, str, object]] = [
    ("PUT", "admin/rules/smog/", RULE),
    ("DELETE", "admin/rules/smog/", None),
    ("POST", "admin/pins/", {}),
    ("PATCH", "admin/gateways/1/", {"name": "tower"}),
    ("POST", "admin/transfers/", {"gadget": "OPC_7", "gateway": "tower"}),
    ("PATCH", "gadget/OPC_7/", {"notes": "beside the door"}),
    ("POST", "admin/calibrations/", BESIDE | {"apply_from": "2026-11-01"}),
    ("DELETE", "admin/calibrations/1/", None),
]
ADMINISTRATIVE: list[tuple[str, str, object]] = [
    ("POST", "admin/users/", {"name": "eve", "password": WORD}),
    ("PATCH", "admin/users/eve/", {"role": "operator"}),
    ("DELETE", "admin/users/eve/", None),
    ("POST", "admin/tokens/", {"name": "grafana"}),
    ("DELETE", "admin/tokens/grafana/", None),
    ("DELETE", "admin/gateways/1/key/", None),
]


def test_each_role_may_do_what_it_is_for(there: Running) -> None:
    with Browser(there, "viewer") as viewer:
        assert viewer.answer.status_code == 303
        assert viewer.get("/api/v1/reading/").status_code == 200
        assert {viewer.change(*each) for each in CHANGES + ADMINISTRATIVE} == {403}
        assert viewer.get("/admin").status_code == 403
        assert "this needs the role operator; viewer is viewer" in viewer.get("/admin").text
    with Browser(there, "operator") as operator:
        assert [operator.change(*each) // 100 for each in CHANGES] == [2] * len(CHANGES)
        assert {operator.change(*each) for each in ADMINISTRATIVE} == {403}
        assert operator.get("/api/v1/admin/audit/").status_code == 403
        assert "users" not in operator.get("/api/v1/admin/").json()
        assert operator.get("/admin").status_code == 200
    with Browser(there, "administrator") as administrator:
        found = [administrator.change(*each) // 100 for each in CHANGES[:3] + ADMINISTRATIVE]
        assert found == [2] * len(found)
        assert len(administrator.get("/api/v1/admin/").json()["users"]) == 3
        assert (
            administrator.get("/api/v1/admin/audit/", params={"limit": 2}).json()["results"][0]["who"]
            == "administrator"
        )


def test_every_change_is_in_the_audit_log_without_secrets(there: Running) -> None:
    with Browser(there, "administrator") as browser:
        for each in CHANGES + ADMINISTRATIVE:
            assert browser.change(*each) // 100 == 2
        pin = browser.post("/api/v1/admin/pins/", json={}).json()["pin"]
        assert browser.change("POST", "admin/pins/", {"gateway": "nobody"}) == 400
    found = entries(there.store)
    assert len(found) == 1 + len(CHANGES + ADMINISTRATIVE) + 1
    assert {(who, origin) for who, origin, _ in found} == {("administrator", "127.0.0.1")}
    assert found[0][2] == "Sign in"
    assert found[1][2].startswith('Store a rule of an alert on values: name "smog", values ["pm_2_5_ug_m3"], above 25')
    assert found[7][2] == (
        'Calibrate a gadget by a reference beside it: gadget "UNIT", reference "STATION", value "pm_2_5_ug_m3",'
        ' reference_value "pm25", since "", until "", humidity true, apply_from "2026-11-01"'
    )
    assert found[8][2] == "Remove a calibration; readings are unchanged: number 1"
    assert found[4][2] == 'Rename a gateway: gateway "1", name "tower"'
    text = json.dumps(found)
    assert WORD not in text
    assert pin not in text
    token = access.new_token(there.store, "importer", clock_ms(), may_write=True)
    headers = {"authorization": f"Bearer {token}"}
    httpx.patch(f"{there.url}/api/v1/gadget/OPC_7/", json={"status": "A"}, headers=headers).raise_for_status()
    assert entries(there.store)[-1][0] == "token importer"
    said = {"gadget_id": "g", "readings": []}
    httpx.post(f"{there.url}/api/v1/readings/", json=said, headers=headers).raise_for_status()
    assert len(entries(there.store)) == len(found) + 1  # readings are no changes by a person


def test_a_co_location_is_shown_before_it_is_applied(there: Running) -> None:
    with Browser(there, "operator") as browser:
        shown = browser.post("/api/v1/admin/co-locations/", json=BESIDE).json()
        assert shown["is_wet"]
        for value, sigma, truth in zip(shown["fit"], shown["sigma"], TRUTH, strict=True):
            assert abs(value - truth) < 4 * sigma
        residuals = [reference - corrected for _, _, reference, corrected in shown["pairs"]]
        assert len(residuals) == shown["hours"]
        assert sum(residuals) / len(residuals) == pytest.approx(0, abs=1e-6)
        assert browser.get("/api/v1/admin/").json()["calibrations"] == []
        assert browser.change("POST", "admin/calibrations/", BESIDE | {"apply_from": "2026-11-01"}) == 201
        (kept,) = browser.get("/api/v1/admin/").json()["calibrations"]
        assert list(kept["calibration"].values())[1:] == shown["fit"]
        for more in ({"since": "2030-01-01"}, {"since": "soon"}, {"gadget": "nobody"}, {"apply_from": ""}):
            assert browser.change("POST", "admin/calibrations/", BESIDE | {"apply_from": "2026-11-01"} | more) == 400
        assert browser.change("DELETE", f"admin/calibrations/{10**20}/") == 400
    actions = [action for _, _, action in entries(there.store)]
    assert [action.startswith("Calibrate") for action in actions] == [False, True]  # the sign-in, and one change


def test_requests_of_other_pages_change_nothing(there: Running) -> None:
    with Browser(there, "administrator") as browser:
        right = dict(browser.headers)
        forged: list[dict[str, Any]] = [
            {"origin": "http://evil.example"},
            {"x-csrf-token": ""},
            {"x-csrf-token": "0" * 64},
            {"host": "evil.example", "origin": "http://evil.example"},
        ]
        for headers in forged:
            answer = browser.post("/api/v1/admin/pins/", json={}, headers=right | headers)
            assert answer.status_code == 403, headers
            assert browser.delete("/api/v1/session/", headers=right | headers).status_code == 403
        assert browser.get("/api/v1/admin/", headers={"host": "evil.example"}).status_code == 403
        assert browser.change("POST", "admin/pins/", {}) == 201
    with Browser(there) as other:
        forged_form = {"user": "viewer", "password": WORD}
        assert other.post("/sign-in", data=forged_form, headers={"origin": "http://evil.example"}).status_code == 403


def test_the_cookie_of_a_session_is_safe_and_ends_with_it(there: Running) -> None:
    with Browser(there, "viewer") as browser:
        cookie = browser.answer.headers["set-cookie"].lower()
        assert all(each in cookie for each in ("pygnc_session=", "httponly", "samesite=strict"))
        token = browser.cookies["pygnc_session"]
        content = b"".join(path.read_bytes() for path in there.folder.parent.glob("central.db*"))
        assert token.encode() not in content
        assert WORD.encode() not in content
        assert browser.change("DELETE", "session/") == 204
        assert httpx.get(f"{there.url}/api/v1/reading/", cookies={"pygnc_session": token}).status_code == 401


def test_sessions_expire(store: Store) -> None:
    add(store, "mary")
    token = accounts.sign_in(store, "Mary", WORD, "", host="host", now_ms=NOW_MS) or ""
    assert accounts.session_of(store, token, NOW_MS + IDLE_MS) is not None  # and it is used then
    assert accounts.session_of(store, token, NOW_MS + 2 * IDLE_MS) is not None
    assert accounts.session_of(store, token, NOW_MS + 3 * IDLE_MS + 1) is None
    for used_ms in range(0, LONGEST_MS, IDLE_MS):
        token = token if used_ms else accounts.sign_in(store, "mary", WORD, "", host="host", now_ms=NOW_MS) or ""
        assert accounts.session_of(store, token, NOW_MS + used_ms) is not None
    assert accounts.session_of(store, token, NOW_MS + LONGEST_MS + 1) is None
    with store.writes() as connection:
        accounts.change_user(connection, "mary", password=f"{WORD} 2")
    assert accounts.session_of(store, token, NOW_MS) is None
    assert accounts.sign_in(store, "mary", WORD, "", host="host", now_ms=NOW_MS) is None


def test_a_code_of_the_second_factor_is_valid_once(there: Running) -> None:
    with Browser(there, "viewer") as browser:
        proposed = browser.post("/api/v1/session/second-factor/").json()
        assert proposed["uri"].startswith("otpauth://totp/")
        totp = pyotp.TOTP(proposed["secret"])
        body = {"password": WORD, "secret": proposed["secret"], "code": "000000"}
        assert browser.change("PUT", "session/second-factor/", body) == 400
        code = totp.at(clock_ms() // 1000)
        assert (
            browser.change("PUT", "session/second-factor/", body | {"code": code, "password": "wrong password"}) == 400
        )
        assert browser.change("PUT", "session/second-factor/", body | {"code": code}) == 200
        assert browser.get("/api/v1/reading/").status_code == 401  # sign in again
    code = totp.at(clock_ms() // 1000)
    assert accounts.sign_in(there.store, "viewer", WORD, "", host="host", now_ms=clock_ms()) is None
    assert accounts.sign_in(there.store, "viewer", WORD, code, host="host", now_ms=clock_ms())
    assert accounts.sign_in(there.store, "viewer", WORD, code, host="host", now_ms=clock_ms()) is None
    assert proposed["secret"] not in json.dumps(entries(there.store)[1:-1])


def test_guesses_are_limited_by_client_and_by_user(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, "pygnc_station")
    with server(tmp_path / "server", tries=5, open=False) as there, httpx.Client(base_url=there.url) as client:
        add(there.store, "mary")
        guess = {"user": "mary", "password": "guess me if you can"}
        answers = [client.post("/sign-in", data=guess) for _ in range(7)]
        assert [each.status_code for each in answers] == [401] * 5 + [429] * 2
        assert "User, password or code are wrong." in answers[0].text
        assert "too many attempts" in answers[6].text
        assert client.post("/sign-in", data=guess | {"password": WORD}).status_code == 429
    with server(tmp_path / "server", open=False) as there:
        httpx.post(f"{there.url}/sign-in", data={"user": WORD, "password": "mary"})
        assert entries(there.store)[-1][0] == "unknown user"  # the password was typed into the field of the name
    assert [each[2] for each in entries_of(tmp_path / "server/central.db")] == ["Sign-in refused"] * 6
    assert "guess me" not in caplog.text


def entries_of(path: Path) -> list[tuple[str, str, str]]:
    with Store.open(str(path)) as store:
        return entries(store)


def test_an_administrator_remains(store: Store) -> None:
    add(store, "mary", Role.ADMINISTRATOR)
    with store.writes() as connection:
        with pytest.raises(StationError, match="this is the last administrator"):
            accounts.remove_user(connection, "mary")
        with pytest.raises(StationError, match="this is the last administrator"):
            accounts.change_user(connection, "mary", role=Role.VIEWER)
    add(store, "tom", Role.ADMINISTRATOR)
    with store.writes() as connection:
        accounts.remove_user(connection, "mary")


def test_users_are_managed_by_commands_without_passwords_in_arguments(tmp_path: Path) -> None:
    settings = tmp_path / "station.toml"
    settings.write_text('[store]\nurl = "central.db"\n')

    def run(*words: str, given: str = "") -> tuple[int, str]:
        result = CliRunner().invoke(app, [*words, "--settings", str(settings)], input=given)
        return result.exit_code, result.output + result.stderr

    assert run("user", "add", "mary", "--role", "administrator", given="short\n")[0] != 0
    assert "must have 10 to 1000 characters" in run("user", "add", "mary", given="short\n")[1]
    assert run("user", "add", "mary", "--role", "administrator", given=f"{WORD}\n") == (
        0,
        "mary is administrator now\n",
    )
    assert "exists already" in run("user", "add", "Mary", given=f"{WORD}\n")[1]
    assert run("user", "add", "tom", given=f"{WORD}\n")[0] == 0
    assert run("user", "role", "tom", "operator")[0] == 0
    assert run("user", "password", "tom", given="another password\n")[0] == 0
    assert run("user", "list")[1] == "mary  administrator\ntom  operator\n"
    assert run("user", "remove", "tom")[0] == 0
    assert "unknown user 'tom'" in run("user", "remove", "tom")[1]
    assert "last administrator" in run("user", "remove", "mary")[1]
    assert run("token", "reader")[0] == 0
    code, text = run("audit", "-n", "2")
    assert code == 0
    assert 'command line  Create a token: name "reader", reading' in text
    assert 'Remove a user: name "tom"' in text
    assert WORD not in run("audit")[1]


def test_logins_of_django_keep_their_passwords(tmp_path: Path) -> None:
    salt, rounds = "Sa1t", 1000
    derived = hashlib.pbkdf2_hmac("sha256", WORD.encode(), salt.encode(), rounds)
    known = f"pbkdf2_sha256${rounds}${salt}${base64.b64encode(derived).decode()}"
    fields = {"password": known, "is_active": True, "is_superuser": True}
    dump = [
        {"model": "tb_users.user", "pk": 1, "fields": fields | {"email": "mary@baton.example"}},
        {"model": "tb_users.user", "pk": 2, "fields": fields | {"email": "left@baton.example", "is_active": False}},
        {"model": "tb_users.user", "pk": 3, "fields": {"email": "x@baton.example", "password": "!unusable"}},
        {"model": "baton.gadget", "pk": 1, "fields": {"factory_id": "OPC_7"}},
    ]
    (tmp_path / "dump.json").write_text(json.dumps(dump))
    (tmp_path / "dump.jsonl").write_text("\n".join(map(json.dumps, dump)))
    (tmp_path / "station.toml").write_text('[store]\nurl = "central.db"\n')
    for name, said in (("dump.json", "1 of 1 logins were added"), ("dump.jsonl", "0 of 1 logins were added")):
        words = ["user", "import", str(tmp_path / name), "--settings", str(tmp_path / "station.toml")]
        result = CliRunner().invoke(app, words)
        assert said in result.output
    with Store.open(str(tmp_path / "central.db")) as store:
        assert accounts.sign_in(store, "mary@baton.example", "wrong password", "", host="host", now_ms=NOW_MS) is None
        assert accounts.sign_in(store, "mary@baton.example", WORD, "", host="host", now_ms=NOW_MS)
        with store.reads() as connection:
            (user,) = accounts.list_users(connection)
            stored = connection.execute(select(schema.users.c.password_hash)).scalar_one()
        assert user.role is Role.VIEWER
        assert stored.startswith("$argon2id$")  # since the sign-in
        assert accounts.sign_in(store, "mary@baton.example", WORD, "", host="host", now_ms=NOW_MS)
