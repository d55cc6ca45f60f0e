"""Notifications reach a mail server and a webhook, once each, later if they cannot be reached, and leak no secret."""

import io
import logging
import os
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from sqlalchemy import func, select, update
from typer.testing import CliRunner

from pygnc_cli.exit_codes import ExitCode
from pygnc_station.commands.main import app
from pygnc_station.errors import StationError
from pygnc_station.server.access import new_pin, register
from pygnc_station.server.alerts import Change, record
from pygnc_station.server.destinations import Destination, deliver, load_destinations
from pygnc_station.server_settings import Alerts, Serve
from pygnc_station.settings import StationSettings
from pygnc_station.station_state import STATE_PATH
from pygnc_station.store import schema
from pygnc_station.store.readings import DAY_MS, clock_ms
from pygnc_station.store.store import Store
from tests.fakes.http_service import Service, service
from tests.fakes.mail_server import WARNINGS, MailServer, mail_server, text_of
from tests.pygnc_station.logger.samples import start, wait_for

pytestmark = pytest.mark.filterwarnings(*WARNINGS)
NOW_MS = 1_790_000_000_000
SECRET = "sesamopen"  # noqa: S105 - of a test


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store.open(str(tmp_path / "central.db")) as opened:
        yield opened


@pytest.fixture
def mail() -> Iterator[MailServer]:
    with mail_server() as running:
        yield running


@pytest.fixture
def hook() -> Iterator[Service]:
    with service() as running:
        yield running


def notice(store: Store, name: str, *destinations: str, gateway: int = 1) -> None:
    record(store, Change(gateway, name, "disk", True, "5 MB free"), destinations, NOW_MS)  # noqa: FBT003 - is_raised


def waiting(store: Store) -> int:
    with store.reads() as connection:
        return connection.execute(select(func.count()).select_from(schema.notices)).scalar_one()


def raised(store: Store) -> int:
    with store.reads() as connection:
        return connection.execute(select(func.count()).select_from(schema.alerts)).scalar_one()


def json_url(hook: Service, path: str = "hook") -> str:
    return f"{hook.url.replace('http://', 'json://')}/{path}"


def test_mail_and_webhook_receive_each_notice_once(store: Store, mail: MailServer, hook: Service) -> None:
    there = {"mail": Destination("mail", mail.url()), "hook": Destination("hook", json_url(hook))}
    notice(store, "roof", *there)
    assert deliver(store, there, "central", NOW_MS) is None
    assert deliver(store, there, "central", NOW_MS + 10**9) is None
    (message,) = mail.messages
    assert (message["subject"], message["to"]) == ("central: roof: disk raised", "me@here.example")
    assert "roof: disk raised: 5 MB free" in text_of(message)
    (body,) = hook.posts
    assert (body["title"], body["message"]) == ("central: roof: disk raised", "roof: disk raised: 5 MB free")


def test_many_changes_are_one_message(store: Store, hook: Service) -> None:
    for rank in range(30):
        notice(store, f"station {rank}", "hook", gateway=rank + 1)
    deliver(store, {"hook": Destination("hook", json_url(hook))}, "central", NOW_MS)
    (body,) = hook.posts
    assert body["title"] == "central: 30 changes of alerts"
    assert [line.split(":")[0] for line in body["message"].splitlines()] == [f"station {rank}" for rank in range(30)]


@pytest.mark.slow
def test_a_refused_notification_is_sent_again_with_growing_delays_and_delays_no_other(
    store: Store, mail: MailServer, hook: Service, caplog: pytest.LogCaptureFixture
) -> None:
    there = {"mail": Destination("mail", mail.url()), "hook": Destination("hook", json_url(hook))}
    mail.refusals = 3
    notice(store, "roof", *there)
    now_ms, waits_ms = NOW_MS, []
    while (next_ms := deliver(store, there, "central", now_ms)) is not None:
        if now_ms == NOW_MS:
            notice(store, "cellar", *there, gateway=2)
        assert deliver(store, there, "central", next_ms - 1) == next_ms  # not before its time
        waits_ms.append(next_ms - now_ms)
        now_ms = next_ms
    for wait_ms, middle_ms in zip(waits_ms, (5000, 10_000, 20_000), strict=True):
        assert 0.8 * middle_ms <= wait_ms <= 1.2 * middle_ms
    assert mail.attempts == 4
    (message,) = mail.messages
    assert message["subject"] == "central: 2 changes of alerts"
    assert [body["title"] for body in hook.posts] == ["central: roof: disk raised", "central: cellar: disk raised"]
    assert "notification to mail: it was not accepted" in caplog.text


def test_a_notice_whose_delay_was_computed_under_a_clock_set_ahead_is_sent_now(store: Store, hook: Service) -> None:
    there = {"hook": Destination("hook", json_url(hook))}
    notice(store, "roof", *there)
    year_ms = 365 * DAY_MS
    with store.writes() as connection:
        connection.execute(update(schema.notices).values(attempts=1, next_try_ms=NOW_MS + year_ms))
    assert deliver(store, there, "central", NOW_MS) is None
    assert len(hook.posts) == 1


def test_an_attempt_that_was_interrupted_is_repeated_after_a_delay(
    store: Store, hook: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    there = {"hook": Destination("hook", json_url(hook))}
    notice(store, "roof", *there)

    def die(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(Destination, "send", die)
        with pytest.raises(KeyboardInterrupt):
            deliver(store, there, "central", NOW_MS)
    next_ms = deliver(store, there, "central", NOW_MS + 1)
    assert next_ms is not None
    assert next_ms > NOW_MS + 1000
    assert hook.posts == []
    assert deliver(store, there, "central", next_ms) is None
    assert len(hook.posts) == 1


def test_notices_that_nobody_can_receive_are_dropped(
    store: Store, hook: Service, caplog: pytest.LogCaptureFixture
) -> None:
    there = {"hook": Destination("hook", json_url(hook))}
    notice(store, "roof", "gone", "hook")
    with store.writes() as connection:
        old = update(schema.notices).where(schema.notices.c.destination == "hook")
        connection.execute(old.values(created_ms=NOW_MS - 8 * 86_400_000))
    assert deliver(store, there, "central", NOW_MS) is None
    assert (waiting(store), hook.posts) == (0, [])
    assert "2 notices for gone, hook were dropped" in caplog.text


@pytest.fixture
def logged() -> Iterator[io.StringIO]:
    """Return what a program logs at level INFO; pytest's own handlers also see what does not reach the root."""
    root, text = logging.getLogger(), io.StringIO()
    handler, level = logging.StreamHandler(text), root.level
    root.addHandler(handler)
    root.setLevel(logging.INFO)
    yield text
    root.setLevel(level)
    root.removeHandler(handler)


def test_failures_are_explained_without_secrets(logged: io.StringIO, mail: MailServer) -> None:
    logging.getLogger("apprise").propagate = True  # as in a new process
    shown = []
    mail.refusals = 9
    with mail_server(SECRET) as closed, service() as hook:
        hook.answers[:] = [500] * 9
        urls = [
            closed.url(f"me:wrong{SECRET}"), mail.url(), json_url(hook, f"{SECRET}?token={SECRET}"),
            f"json://me:{SECRET}@127.0.0.1:1/{SECRET}",
        ]  # fmt: skip
        for url in urls:
            with pytest.raises(Exception, match="it was not accepted") as failed:
                Destination("mail", url).send("test", "text")
            shown.append(str(failed.value))
        Destination("mail", closed.url(f"me:{SECRET}")).send("test", "text")
        assert len(closed.messages) == 1
    for url in (f"nonsense://{SECRET}", f"mailto://:::{SECRET}", f"mailtos://u:{SECRET} @host", SECRET, ""):
        with pytest.raises(StationError, match=r"the URL of mail in \[serve.alerts\] is invalid") as invalid:
            Destination("mail", url)
        shown.append(str(invalid.value))
    assert "500" in shown[2]
    for text in (*shown, logged.getvalue()):
        assert SECRET not in text


def test_urls_in_a_file_are_used_only_if_nobody_else_can_read_it(tmp_path: Path, hook: Service) -> None:
    settings = StationSettings(folder=str(tmp_path), serve=Serve(alerts=Alerts(urls_file="urls.toml")))
    file = tmp_path / "urls.toml"
    with pytest.raises(StationError, match=r"urls.toml: No such file.*urls_file in \[serve.alerts\]"):
        load_destinations(settings)
    file.write_text(f'hook = "{json_url(hook)}"\n')
    file.chmod(0o640)
    with pytest.raises(StationError, match="other users can read the passwords in this file; run chmod 600"):
        load_destinations(settings)
    file.chmod(0o600)
    load_destinations(settings)["hook"].send("test", "text")
    assert len(hook.posts) == 1
    for content, why in ((f"hook = json://{SECRET}", "not valid TOML"), ("hook = 5", "hook must be a URL in quotes")):
        file.write_text(content)
        with pytest.raises(StationError, match=why) as invalid:
            load_destinations(settings)
        assert SECRET not in str(invalid.value)


def test_the_command_sends_a_test_notification(tmp_path: Path, hook: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    def invoke(*arguments: str, code: int = 0) -> str:
        result = CliRunner().invoke(app, ["alerts", *arguments, "--settings", str(path)])
        assert result.exit_code == code, result.output
        return result.output

    path = tmp_path / "central.toml"
    path.write_text("[serve]\n")
    assert "no destination; add one to urls in [serve.alerts]" in invoke("test", code=ExitCode.INPUT)
    monkeypatch.setenv("HOOK", json_url(hook))
    path.write_text('name = "central"\n[serve.alerts]\nurls = { hook = "${HOOK}", dead = "json://127.0.0.1:1/" }\n')
    assert invoke("test", "--to", "hook") == "hook: accepted\n"
    assert "dead: it was not accepted" in invoke("test", code=ExitCode.NETWORK)
    assert "unknown destination 'me'; [serve.alerts] contains hook, dead" in invoke(
        "test", "--to", "me", code=ExitCode.INPUT
    )
    assert [body["title"] for body in hook.posts] == ["central: test"] * 2
    with Store.open(str(tmp_path / "readings.db")) as store:
        register(store, new_pin(store, clock_ms(), 5), "0", "roof", clock_ms())
        notice(store, "roof", "mail")
    assert invoke("list").splitlines() == [
        "roof: disk since 2026-09-21T14:13:20.000Z: 5 MB free", "mail: 1 notices wait after 0 attempts"
    ]  # fmt: skip


def test_a_missing_library_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "apprise", None)
    settings = StationSettings(folder=str(tmp_path), serve=Serve(alerts=Alerts(urls={"hook": "json://host"})))
    with pytest.raises(ModuleNotFoundError, match="apprise"):
        load_destinations(settings)
    assert load_destinations(StationSettings()) == {}  # without destinations the library is not needed


@pytest.mark.slow
def test_a_server_notifies_once_and_receives_states_while_its_mail_server_is_down(tmp_path: Path) -> None:
    path = tmp_path / "central.toml"
    path.write_text(
        'name = "central"\n[serve]\nport = 0\n[serve.alerts]\ncheck_s = 1\nsilent_min = 0\nserver_disk_free_bytes = 0\n'
        "storage_percent = 0\n"
        'urls = { mail = "${MAIL}" }\n'
    )
    with mail_server() as probe:
        port = probe.port
    os.environ["MAIL"] = f"mailto://me:{SECRET}@127.0.0.1:{port}/?mode=insecure&from=a@there.example&to=b@here.example"
    with Store.open(str(tmp_path / "readings.db")) as store:
        key = register(store, new_pin(store, clock_ms(), 5), "0", "roof", clock_ms())

    def serve(state: dict[str, int], notices: int, alerts: int) -> str:
        """Run a server that receives a state until it has these numbers of notices and alerts; return its messages."""
        process = start("serve", "--settings", path)
        assert process.stdout is not None
        url = process.stdout.readline().strip()
        assert url.startswith("http")
        with Store.open(str(tmp_path / "readings.db")) as store:
            client = httpx.Client(base_url=url, headers={"authorization": f"Bearer {key}"})
            begin_s = time.monotonic()
            assert client.post(STATE_PATH, json={"time_ms": clock_ms()} | state).status_code == 204
            assert time.monotonic() - begin_s < 5
            wait_for(lambda: (waiting(store), raised(store)) == (notices, alerts), "the alert")
            time.sleep(1.5)  # another check changes nothing
        client.close()
        process.send_signal(signal.SIGTERM)
        return process.communicate()[1]

    printed = serve({"disk_free_bytes": 5}, 1, 1)
    assert "alert: roof: disk raised: 0 MB free" in printed
    assert "notification to mail: it was not accepted" in printed
    log = (tmp_path / "server_log/failures.log").read_text()
    assert SECRET not in printed + log
    with mail_server(SECRET, port) as mail:
        printed = serve({"disk_free_bytes": 10**12}, 0, 0)
        assert "notification to" not in printed
        texts = [text_of(message) for message in mail.messages]
    assert sum(text.count("roof: disk raised") for text in texts) == 1
    assert sum(text.count("roof: disk cleared") for text in texts) == 1
