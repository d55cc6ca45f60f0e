import json
import signal
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from selenium.webdriver import Chrome
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import WebDriverWait
from typer.testing import CliRunner

from pygnc_cli.exit_codes import ExitCode
from pygnc_station.commands.main import app
from pygnc_station.store.readings import Column, Layout, NewReading, clock_ms
from pygnc_station.store.store import Store
from tests.fakes.batonopc import Station, batch_of, csv_of, log, rows_of
from tests.fakes.browser import chromium
from tests.programs import needs
from tests.pygnc_station.logger.samples import start, store_sentence
from tests.pygnc_station.server.samples import certificate, server
from tests.pygnc_station.store.samples import LAYOUT, new


def _invoke(*arguments: object, code: int = 0) -> str:
    result = CliRunner().invoke(app, [str(item) for item in arguments])
    assert result.exit_code == code, result.output
    return result.output


def test_commands_transfer_readings_to_a_server_over_tls(tmp_path: Path) -> None:
    certificate(tmp_path)
    central, pi = tmp_path / "central.toml", tmp_path / "pi.toml"
    central.write_text(
        '[store]\nurl = "central.db"\n[serve]\nport = 0\ntls_cert = "cert.pem"\ntls_key = "key.pem"\nopen = false\n'
    )
    process = start("serve", "--settings", central)
    try:
        assert process.stdout is not None
        url = process.stdout.readline().strip().rstrip("/")
        assert url.startswith("https://127.0.0.1:")
        text = f'name = "roof"\n[store]\nurl = "pi.db"\n[upload]\nurl = "{url}"\n'
        pi.write_text(text)
        with Store.open(str(tmp_path / "pi.db")) as store:
            store.append(store.stream("imu", LAYOUT, family="ucb"), [new(rank) for rank in range(5)])
        assert "certificate is not trusted" in _invoke("register", "--settings", pi, "--pin", "1", code=ExitCode.INPUT)
        pi.write_text(f'{text}ca_file = "cert.pem"\n')
        pin = _invoke("pin", "--settings", central).strip()
        assert "the PIN is wrong" in _invoke("register", "--settings", pi, "--pin", "00000000", code=ExitCode.INPUT)
        assert "registered; the key is stored in" in _invoke("register", "--settings", pi, "--pin", pin)
        assert _invoke("upload", "--settings", pi) == "nothing to send\n"
        _invoke("batch", "--settings", pi)
        assert "  accepted" in _invoke("upload", "--settings", pi)
        assert "1 batches with 5 readings accepted" in _invoke("status", "--settings", pi)
        shown = _invoke("recent", "--settings", central, "--json", "-n", 1)
        assert json.loads(shown)["number"] == 5
        assert _invoke("revoke", "roof", "--settings", central) == "1 keys revoked\n"
        assert "station 'roof': no valid key" in _invoke("revoke", "roof", "--settings", central, code=ExitCode.INPUT)
        assert len(_invoke("token", "me", "--settings", central).strip()) == 40
    finally:
        process.send_signal(signal.SIGTERM)
        errors = process.communicate()[1]
    assert errors == ""
    assert process.returncode in {0, -signal.SIGTERM}
    assert "the next try is due" not in _invoke("upload", "--settings", pi)


@pytest.mark.parametrize(
    ("serve", "why"),
    [
        ('host = "0.0.0.0"', "keys would travel unencrypted"),
        ('tls_cert = "a.pem"', "TLS requires both"),
        ('tls_cert = "a.pem"\ntls_key = "b.pem"', "a.pem: the file does not exist"),
        ('tls_cert = "s.toml"\ntls_key = "s.toml"', "s.toml are not a certificate and its key in PEM"),
        ('host = "192.0.2.1"\ninsecure = true', "192.0.2.1:8321: this computer does not have this address"),
    ],
)
def test_refuses_unsafe_and_impossible_server_settings(tmp_path: Path, serve: str, why: str) -> None:
    path = tmp_path / "s.toml"
    path.write_text(f"[serve]\n{serve}\n")
    assert why in _invoke("serve", "--settings", path, code=ExitCode.INPUT)


def test_reports_a_port_that_is_in_use(tmp_path: Path) -> None:
    path = tmp_path / "s.toml"
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        path.write_text(f"[serve]\nport = {port}\n")
        assert f"127.0.0.1:{port}: another program listens on this port" in _invoke(
            "serve", "--settings", path, code=ExitCode.INPUT
        )


in_browser = needs("chromium", "chromedriver")


@pytest.fixture
def browser(tmp_path: Path) -> Iterator[Chrome]:
    with chromium(tmp_path / "profile", "--window-size=1100,900") as driver:
        yield driver


@pytest.mark.slow
@in_browser
def test_the_page_shows_newest_readings_and_plots(tmp_path: Path, browser: Chrome) -> None:
    now_ms = clock_ms()
    names = (Column("bin_0"), Column("period_s", "s"), Column("temp_degc", "°C"), Column("pm2_5_ug_m3", "µg/m³"))
    layout = Layout("PM", (*names, Column("note"), Column("a_name_without_any_place_where_it_could_be_broken" * 3)))
    with server(tmp_path / "server") as there:
        rows = [
            NewReading(
                now_ms - 5000 * (500 - rank), 0, 0, "", f'[3,2.5,21.{rank:03d},{12 + rank % 40 / 10},"ok",1]', None
            )
            for rank in range(500)
        ]
        there.store.append(there.store.stream("<b>roof</b>", layout), rows)
        there.store.append(there.store.stream("old", LAYOUT), [new(1)])
        browser.get(f"{there.url}/?api-key=TOKEN")
        WebDriverWait(browser, 30).until(
            lambda page: page.find_element(By.TAG_NAME, "body").get_attribute("data-ready")
        )
        assert browser.current_url == f"{there.url}/"  # the token is removed from the address
        first, second = browser.find_elements(By.TAG_NAME, "section")
        assert first.find_element(By.CLASS_NAME, "name").text == "<b>roof</b>"
        assert "pm2_5_ug_m3 13.9 µg/m³" in first.text.replace("\n", " ")
        assert first.get_attribute("data-points") == "500"
        assert [row.text.split()[0] for row in first.find_elements(By.TAG_NAME, "tr")][:4] == [
            "pm2_5_ug_m3", "temp_degc", "period_s", "bin_0"
        ]  # fmt: skip
        assert "pm2_5_ug_m3 in µg/m³" in first.find_element(By.TAG_NAME, "figcaption").text
        assert second.get_attribute("class") == "old"
        assert browser.find_element(By.ID, "state").text == "2 devices"
        # Nothing is wider than the screen of a phone.
        browser.execute_cdp_cmd(
            "Emulation.setDeviceMetricsOverride",
            {"width": 375, "height": 800, "deviceScaleFactor": 2, "mobile": True},
        )
        assert browser.execute_script("return document.documentElement.scrollWidth") == 375
        browser.save_screenshot(str(tmp_path / "page.png"))
        told = browser.get_log("browser")  # type: ignore[no-untyped-call]
        assert [entry for entry in told if entry["level"] == "SEVERE"] == []


@pytest.mark.slow
@in_browser
def test_the_page_shows_readings_of_a_batonopc_station(tmp_path: Path, browser: Chrome) -> None:
    log(tmp_path / "old.db", 3)
    with server(tmp_path / "server", batonopc_zone="Europe/Dublin") as there:
        pi = Station(there.url, there.new_key())
        for ref in ("2021-07-01_12:02_1", "2021-07-01_12:02_2"):
            table = csv_of(rows_of(tmp_path / "old.db"))
            assert pi.upload(ref, batch_of(ref, pi.key, table)) == ("Processed", "")
        browser.get(there.url)
        WebDriverWait(browser, 30).until(
            lambda page: page.find_element(By.TAG_NAME, "body").get_attribute("data-ready")
        )
        (section,) = browser.find_elements(By.TAG_NAME, "section")
        assert section.find_element(By.CLASS_NAME, "name").text == "OPC_7"
        assert "2021-07-01 11:02:00.000 UTC" in section.text
        assert "(imported)" in section.text
        assert "pm_25 2 µg/m³" in section.text.replace("\n", " ")
        assert section.get_attribute("data-points") == "3"
        browser.save_screenshot(str(tmp_path / "page.png"))


@pytest.mark.slow
@in_browser
def test_the_page_shows_charge_in_ampere_hours_and_labels_of_codes(tmp_path: Path, browser: Chrome) -> None:
    with server(tmp_path / "server") as there:
        for minute in range(3):
            t_wall_ns = (clock_ms() - 60_000 * minute) * 1_000_000
            store_sentence(there.store, "BC1", b"000456F0,00057E40,1EDC", t_wall_ns)
            store_sentence(there.store, "ST1", b"03,00,0000,000128E3,05,0002,00,00040802", t_wall_ns)
        browser.get(there.url)
        WebDriverWait(browser, 30).until(
            lambda page: page.find_element(By.TAG_NAME, "body").get_attribute("data-ready")
        )
        charge, status = (item.text.replace("\n", " ") for item in browser.find_elements(By.TAG_NAME, "section"))
        assert "charge 79 Ah capacity 100 Ah state_of_charge_percent 79 %" in charge
        assert "charge in Ah, the last 24 h" in charge
        assert "charging_stage 3 main charging" in status
        assert "protections 2 cell over-voltage" in status
        assert "status 5 cell voltages valid, balancing rates valid" in status
        browser.save_screenshot(str(tmp_path / "page.png"))
