import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import httpx
import pytest
from sqlalchemy import select

from pygnc_station.errors import StationError, TransferError
from pygnc_station.server import access
from pygnc_station.settings import StationSettings, Upload
from pygnc_station.store import schema
from pygnc_station.store.readings import DAY_MS, clock_ms
from pygnc_station.store.store import Store
from pygnc_station.upload.station_server import http_client, register
from tests.pygnc_station.server.samples import server, station

NOW_MS = 1_790_000_000_000
WAITING = 60


@pytest.fixture
def store(sqlite_url: str) -> Store:
    return Store.open(sqlite_url)


def test_a_pin_is_valid_once_and_until_it_expires(store: Store) -> None:
    pin = access.new_pin(store, NOW_MS, 10)
    assert access.register(store, pin, "0", "late", NOW_MS + 600_001) is None
    pin = access.new_pin(store, NOW_MS + 365 * DAY_MS, 10)  # under a clock set ahead
    assert access.register(store, pin, "0", "early", NOW_MS) is None
    pin = access.new_pin(store, NOW_MS, 10)
    key = access.register(store, pin, "0", "roof", NOW_MS + 1)
    assert key is not None
    assert access.register(store, pin, "0", "again", NOW_MS + 2) is None
    assert access.register(store, "12345678", "0", "guess", NOW_MS) is None
    found = access.visit(store, key, NOW_MS)
    with store.reads() as connection:
        query = select(schema.gateways.c.name).where(schema.gateways.c.id == found)
        assert connection.execute(query).scalar() == "roof"
    assert access.visit(store, key[:-1] + "?", NOW_MS) is None
    assert access.revoke(store, "roof", NOW_MS) == 1
    assert access.visit(store, key, NOW_MS) is None
    store.close()


def test_the_store_contains_only_hashes_of_secrets(store: Store, tmp_path: Path) -> None:
    pin = access.new_pin(store, NOW_MS, 10)
    other = access.new_pin(store, NOW_MS, 10)
    key = access.register(store, pin, "0", "roof", NOW_MS)
    token = access.new_token(store, "grafana", NOW_MS, may_write=False)
    store.close()
    content = b"".join(path.read_bytes() for path in tmp_path.iterdir())
    assert b"grafana" in content
    for secret in (str(key), token, other):
        assert secret.encode() not in content


def test_keys_are_not_sent_over_plain_http_to_another_computer(caplog: pytest.LogCaptureFixture) -> None:
    def client(url: str, *, insecure: bool = False) -> None:
        http_client(StationSettings(upload=Upload(url, insecure=insecure)), "key").close()

    with pytest.raises(StationError, match="read the station's key; use https, or set insecure = true"):
        client("http://stations.example:8321")
    for url in ("https://stations.example", "http://127.0.0.1:8321", "http://[::1]:8321", "http://localhost"):
        client(url)
    assert caplog.text == ""
    with pytest.raises(StationError, match="contains a login") as refused:
        client("https://me:word@stations.example")
    assert "word" not in str(refused.value)
    with pytest.raises(StationError, match="is invalid"):
        client("https://x:port")
    client("http://stations.example", insecure=True)
    assert "because of insecure in [upload]" in caplog.text


def test_pages_and_health_are_answered_while_more_uploads_wait_than_there_are_threads(tmp_path: Path) -> None:
    with server(tmp_path / "server") as there, ThreadPoolExecutor(WAITING) as pool, ExitStack() as stack:
        headers = {"authorization": f"Bearer {there.new_key()}"}
        other = stack.enter_context(Store.open(str(tmp_path / "server" / "central.db")))
        with other.writes():  # another program writes for long
            url = f"{there.url}/api/v1/batches"
            announcements = [{"name": "b", "bytes": 9, "sha256": "0" * 64}] * WAITING
            waiting = [
                pool.submit(httpx.put, f"{url}/{rank:032x}", json=each, headers=headers, timeout=60)
                for rank, each in enumerate(announcements)
            ]
            time.sleep(1.0)
            assert httpx.get(f"{there.url}/health", timeout=5).status_code == 200
            assert httpx.get(f"{there.url}/api/v1/gadget/", timeout=5).status_code == 200
            assert not any(each.done() for each in waiting)
        assert {each.result().status_code for each in waiting} == {200}


def test_a_visit_is_recorded_at_most_every_ten_seconds(store: Store) -> None:
    key = str(access.register(store, access.new_pin(store, NOW_MS, 10), "0", "roof", NOW_MS))
    for now_ms, seen_ms in ((0, 0), (9_000, 0), (10_001, 10_001), (-60_000, -60_000)):
        assert access.visit(store, key, NOW_MS + now_ms) == 1
        (gateway,) = access.list_gateways(store)
        assert gateway.seen_ms == NOW_MS + seen_ms
    store.close()


def test_health_reports_a_full_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with server(tmp_path / "server") as there:
        assert httpx.get(f"{there.url}/health").status_code == 200
        monkeypatch.setattr("pygnc_station.server.application.LEAST_FREE_BYTES", 1 << 60)
        answer = httpx.get(f"{there.url}/health")
    assert answer.status_code == 503
    assert "MB left; free some space" in answer.text


def test_tokens_expire_and_read_only_tokens_do_not_permit_writing(store: Store) -> None:
    token = access.new_token(store, "a", NOW_MS, may_write=False, days=1)
    assert access.holder_of(store, token, NOW_MS, to_write=False)
    assert not access.holder_of(store, token, NOW_MS, to_write=True)
    assert not access.holder_of(store, token, NOW_MS + 86_400_001, to_write=False)
    newer = access.new_token(store, "a", NOW_MS, may_write=True)
    assert not access.holder_of(store, token, NOW_MS, to_write=False)
    assert access.holder_of(store, newer, NOW_MS, to_write=True)
    store.close()


def test_a_pin_stays_valid_if_the_station_cannot_write_its_key(tmp_path: Path) -> None:
    with server(tmp_path / "server") as there:
        pin = access.new_pin(there.store, clock_ms(), 5)
        (tmp_path / "taken").write_text("a file in the way")
        with pytest.raises(OSError, match="taken"):
            register(station(tmp_path / "pi", there.url, key_file=str(tmp_path / "taken/key.txt")), pin)
        file = register(station(tmp_path / "pi", there.url), pin)
        before = file.read_text()
        with pytest.raises(StationError, match="the PIN is wrong"):
            register(station(tmp_path / "pi", there.url), pin)
        assert file.read_text() == before
        assert [path.name for path in file.parent.iterdir()] == ["gateway_key.txt"]
        with pytest.raises(StationError, match=r"/nowhere/api/v1/activate/: .*check url in \[upload\]"):
            register(station(tmp_path / "pi", f"{there.url}/nowhere"), pin)


def test_limits_attempts_to_guess_a_pin(tmp_path: Path) -> None:
    with server(tmp_path / "server", tries=3) as there:
        settings = station(tmp_path / "pi", there.url)
        for _ in range(3):
            with pytest.raises(StationError, match="the PIN is wrong, used or expired"):
                register(settings, "00000000")
        with pytest.raises(TransferError, match="too many attempts"):
            register(settings, access.new_pin(there.store, clock_ms(), 5))
    assert not (tmp_path / "pi/gateway_key.txt").exists()


def test_stations_behind_one_address_register_without_a_limit(tmp_path: Path) -> None:
    with server(tmp_path / "server", tries=3) as there:
        for rank in range(10):
            settings = station(tmp_path / f"pi{rank}", there.url)
            register(settings, access.new_pin(there.store, clock_ms(), 5))
            assert (tmp_path / f"pi{rank}/gateway_key.txt").exists()


def test_limits_attempts_to_guess_a_key(tmp_path: Path) -> None:
    with server(tmp_path / "server", open=False) as there, httpx.Client(base_url=there.url) as client:
        headers = {"authorization": "Bearer guess"}
        codes = [client.get("/api/v1/reading/", headers=headers).status_code for _ in range(22)]
        assert codes == [401] * 20 + [429] * 2


def test_reading_requires_a_token_unless_the_server_is_open(tmp_path: Path) -> None:
    with server(tmp_path / "server", open=False) as there, httpx.Client(base_url=there.url) as client:
        token = access.new_token(there.store, "me", clock_ms(), may_write=False)
        assert client.get("/").status_code == 401
        assert client.get("/metrics").status_code == 401
        assert client.get("/openapi.json").status_code == 401
        assert client.get("/health").json() == {"status": "ok"}
        for headers in ({"authorization": f"Bearer {token}"}, {"authorization": f"HTTP_BAT_API_KEY {token}"}):
            assert client.get("/api/v1/reading/", headers=headers).status_code == 200
        assert client.get("/api/v1/reading/", params={"api-key": token}).status_code == 200
        # The page stores the token as a cookie for its own requests.
        first = client.get("/", params={"api-key": token})
        cookie = first.headers["set-cookie"].lower()
        assert "httponly" in cookie
        assert "samesite=strict" in cookie
        assert client.get("/api/v1/reading/latest/").status_code == 200
        assert client.post("/api/v1/readings/", json={"gadget_id": "g", "readings": []}).status_code == 401


def test_a_person_signs_in_on_the_page(tmp_path: Path) -> None:
    with server(tmp_path / "server", open=False) as there, httpx.Client(base_url=there.url) as client:
        token = access.new_token(there.store, "me", clock_ms(), may_write=True)
        page = client.get("/")
        assert (page.status_code, page.headers["content-type"]) == (401, "text/html; charset=utf-8")
        assert "form-action 'self'" in page.headers["content-security-policy"]
        wrong = client.post("/sign-in", data={"token": "guess"})
        assert (wrong.status_code, "wrong or has expired" in wrong.text) == (401, True)
        forged = client.post("/sign-in", data={"token": token}, headers={"origin": "http://evil.example"})
        assert forged.status_code == 403
        done = client.post("/sign-in", data={"token": token}, headers={"origin": there.url})
        assert (done.status_code, done.headers["location"]) == (303, "./")
        assert client.get("/").status_code == 200
        said = {"gadget_id": "g", "readings": []}
        forged = client.post("/api/v1/readings/", json=said, headers={"origin": "http://127.0.0.1:1"})
        assert forged.status_code == 403
        assert client.post("/api/v1/readings/", json=said, headers={"origin": there.url}).status_code == 201


def test_an_open_server_answers_only_to_names_of_this_computer(tmp_path: Path) -> None:
    with server(tmp_path / "server") as there, httpx.Client(base_url=there.url) as client:
        assert client.get("/api/v1/reading/").status_code == 200
        assert client.get("/api/v1/reading/", headers={"host": "localhost:1"}).status_code == 200
        rebound = client.get("/api/v1/reading/", headers={"host": "evil.example"})
        assert rebound.status_code == 403
        assert "localhost only" in rebound.json()["error"]
        assert client.get("/", headers={"host": "evil.example"}).status_code == 403
    with server(tmp_path / "intended", open=True) as there, httpx.Client(base_url=there.url) as client:
        assert client.get("/api/v1/reading/", headers={"host": "pi.local"}).status_code == 200


def test_an_unreachable_store_is_reported_without_its_name(tmp_path: Path) -> None:
    with server(tmp_path / "server") as there, httpx.Client(base_url=there.url) as client:
        with there.store.writes() as connection:
            connection.exec_driver_sql("ALTER TABLE facts RENAME TO gone")
        answer = client.get("/health")
    assert answer.status_code == 503
    assert "central.db" not in answer.text
