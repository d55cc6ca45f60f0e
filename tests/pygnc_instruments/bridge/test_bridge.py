"""The bridge in a separate process, with a simulated unit on a pseudo-terminal and clients on real sockets."""

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from pygnc_cli.exit_codes import ExitCode
from pygnc_devices.ucb.driver import Ucb
from pygnc_instruments.bridge.messages import COMMANDS, READING_COMMANDS
from pygnc_instruments.bridge.server import TOKEN_VARIABLE
from pygnc_instruments.simulators.endpoints import PtyEndpoint, TcpEndpoint
from pygnc_instruments.simulators.gx2_unit import Gx2Simulator
from pygnc_instruments.simulators.mip_unit import MipSimulator
from pygnc_instruments.simulators.monodrive_unit import MonoDriveSimulator
from pygnc_instruments.simulators.ucb_unit import UcbSimulator
from tests.pygnc_instruments.bridge.running import PATIENCE_S, ROOT, RunningBridge, environment, get, until

pytestmark = pytest.mark.slow

Start = Callable[..., RunningBridge]
NOBODY = 65534
S1 = {"xAccel", "yAccel", "zAccel", "xRate", "yRate", "zRate", "xRateTemp", "boardTemp", "counter", "BITstatus"}


def status(bridge: RunningBridge) -> dict[str, Any]:
    code, body, _ = get(bridge, "/status")
    assert code == 200
    return dict(json.loads(body))


def is_output(message: dict[str, Any]) -> bool:
    return message.get("cmd") == "output"


def is_device(message: dict[str, Any], state: str = "") -> bool:
    return message.get("cmd") == "device" and state in ("", message["data"]["state"])


def test_sends_readings_in_protocol_v1(bridge: RunningBridge) -> None:
    with bridge.connect("v1") as client:
        first, second = (client.wait(lambda message: "xAccel" in message) for _ in range(2))
    assert set(first) >= S1 | {"time"}
    assert second["time"] == first["time"] + 1
    assert second["counter"] != first["counter"]


def test_sends_readings_in_protocol_v2(bridge: RunningBridge) -> None:
    with bridge.connect("v2") as client:
        values = client.wait(lambda message: "newOutput" in message["data"])["data"]["newOutput"]
        assert set(values) >= S1 | {"time"}
        client.send({"messageType": "serverStatus"})
        data = client.wait(lambda message: message["messageType"] == "serverStatus")["data"]
    assert data["deviceId"] == "2008705635 IMU381ZA-400 5020-1383-01 10.00.01"
    assert data["packetType"] == "S1"
    assert "S1" in data["deviceProperties"]["outputPackets"]


@pytest.mark.parametrize("protocol", ["v1", "v2", "envelope"])
def test_root_path_uses_the_selected_protocol(start: Start, line: PtyEndpoint, protocol: str) -> None:
    bridge = start(line.url, "--baud", "115200", "--family", "ucb", "--port", "0", "--protocol", protocol)
    key = {"v1": "xAccel", "v2": "messageType", "envelope": "cmd"}[protocol]
    with bridge.connect("") as client:
        client.wait(lambda message: key in message)


def test_readings_are_sent_at_the_selected_interval(start: Start, line: PtyEndpoint) -> None:
    bridge = start(line.url, "--baud", "115200", "--family", "ucb", "--port", "0", "--interval-ms", "250")
    with bridge.connect("envelope?readings=newest") as client:
        times = [client.wait(is_output)["data"]["time"] for _ in range(5)]
        found = client.ask("status")
        assert (found["readings"], found["thinned"] > 50) == ("newest", True)
    assert times[-1] - times[0] > 0.6  # a busy machine may delay the first of them


def test_the_status_of_openimu_states_the_selected_interval(start: Start, line: PtyEndpoint) -> None:
    bridge = start(line.url, "--baud", "115200", "--family", "ucb", "--port", "0", "--interval-ms", "10")
    with bridge.connect("openimu") as client:
        info = client.wait(lambda message: message["result"]["packetType"] == "serverInfo")
        assert info["result"]["data"]["serverUpdateRate"] == 10


def test_stops_and_starts_the_stream_of_one_client_only(bridge: RunningBridge) -> None:
    with bridge.connect() as client, bridge.connect() as other:
        client.wait(is_output)
        client.ask("stop_stream")
        for _ in range(10):
            other.wait(is_output)
        client.send({"cmd": "status"})
        answer = json.loads(client.connection.recv(timeout=PATIENCE_S))
        while answer["cmd"] == "output":  # sent before the stream was stopped
            answer = json.loads(client.connection.recv(timeout=PATIENCE_S))
        assert answer["cmd"] == "status"
        client.ask("start_stream")
        client.wait(is_output)


def test_reads_and_changes_fields_while_streaming(bridge: RunningBridge, unit: UcbSimulator) -> None:
    with bridge.connect() as client:
        assert client.ask("GF", [1, 3]) == [[1, 1], [3, 0x5331]]
        assert client.ask("SF", [[8, 5]]) == [[8, 5]]
        assert (unit.ram[8], unit.eeprom[8]) == (5, 0)
        assert client.ask("WF", {"8": 6}) == [[8, 6]]
        assert (unit.ram[8], unit.eeprom[8]) == (5, 6)
        assert dict(client.ask("RF")) == unit.eeprom
        client.wait(is_output)


def test_refusals_of_the_unit_are_error_objects(bridge: RunningBridge) -> None:
    with bridge.connect() as client:
        illegal = client.ask_in_full("SF", [[1, 3]])
        assert illegal["err"]["code"] == "bad_value"
        assert "100 Hz" in illegal["err"]["message"]
        partly = client.ask_in_full("GF", [1, 0x61])
        assert partly["err"] | {"message": ""} == {
            "code": "refused",
            "message": "",
            "refused": [0x61],
            "accepted": [[1, 1]],
        }
        client.send("[]")
        assert client.wait(lambda message: message["cmd"] is None)["err"]["code"] == "bad_message"
        assert client.ask_in_full("load_file", "../../etc/passwd")["err"]["code"] == "no_file"


def test_follows_a_change_of_baud_rate(bridge: RunningBridge, unit: UcbSimulator) -> None:
    with bridge.connect() as client:
        assert client.ask("SF", [[2, 6]]) == [[2, 6]]
        assert unit.baud == 230400
        client.wait(is_output)
        assert client.ask("status")["device"]["baud"] == 230400


def test_reports_disconnection_and_reconnection_of_the_unit(bridge: RunningBridge, line: PtyEndpoint) -> None:
    with bridge.connect() as client, bridge.connect("v1") as old:
        client.wait(is_output)
        line.unplug()
        client.wait(lambda message: is_device(message, "unplugged") and not message["data"]["connected"])
        assert old.wait(lambda message: "error" in message)["error"]["code"] == "no_device"
        assert client.ask_in_full("GF", [1])["err"]["code"] == "no_device"
        line.plug_in()
        back = client.wait(lambda message: is_device(message, "streaming"))["data"]
        assert (back["connected"], back["id"][:10]) == (True, "2008705635")
        client.wait(is_output)
        assert client.ask("GF", [1]) == [[1, 1]]


def test_reports_a_silent_unit_and_repeats_no_reading(bridge: RunningBridge) -> None:
    with bridge.connect() as client:
        client.wait(is_output)
        client.ask("SF", [[1, 0]])
        seen = []
        while not is_device(message := client.wait(lambda message: message["cmd"] in ("output", "device")), "silent"):
            if is_output(message):
                seen.append(message["data"]["counter"])
        assert len(set(seen)) == len(seen)
        client.ask("SF", [[1, 1]])
        client.wait(is_output)


def test_detects_baud_rate_and_family(start: Start, line: PtyEndpoint, unit: UcbSimulator) -> None:
    unit.eeprom[2] = unit.ram[2] = 3
    unit.baud = 57600
    bridge = start(line.url, "--port", "0")
    with bridge.connect() as client:
        client.wait(is_output)
        assert client.ask("status")["device"]["baud"] == 57600


def test_waits_for_a_unit_that_is_not_connected_yet(start: Start, unit: UcbSimulator, tmp_path: Path) -> None:
    bridge = start(str(tmp_path / "port"), "--baud", "115200", "--family", "ucb", "--port", "0")
    with bridge.connect() as client:
        client.wait(lambda message: is_device(message, "searching") and message["data"]["reason"])
        assert client.ask_in_full("GF")["err"]["code"] == "no_device"
        with PtyEndpoint(unit, tmp_path / "port"):
            client.wait(is_output)


def test_plays_a_recording_to_its_end(start: Start, tmp_path: Path) -> None:
    unit = UcbSimulator()
    (tmp_path / "x.raw").write_bytes(b"".join(unit._tick() for _ in range(100)))
    bridge = start(f"file://{tmp_path}/x.raw?bytes_per_s=3100", "--port", "0")
    with bridge.connect() as client:
        client.wait(is_output)
        client.wait(lambda message: is_device(message, "ended"))


@pytest.mark.parametrize("family", ["gx2", "mip", "monodrive"])
def test_streams_and_logs_units_of_other_families(start: Start, family: str) -> None:
    units = {"gx2": Gx2Simulator, "mip": MipSimulator, "monodrive": MonoDriveSimulator}
    with TcpEndpoint(units[family]()) as network:
        bridge = start(network.url, "--baud", "115200", "--family", family, "--port", "0")
        with bridge.connect() as client:
            assert any("ccel" in name for name in client.wait(is_output)["data"])
            assert client.ask_in_full("GF", [1])["err"]["code"] == "not_supported"
            assert client.ask("describe")["fields"] == []
            client.ask("start_log", {"file_name": "x"})
            client.ask("stop_log")
    assert (bridge.folder / "x.csv").exists()


def test_example_client_prints_readings_and_fields(bridge: RunningBridge, tmp_path: Path) -> None:
    url = f"{bridge.url.replace('http', 'ws')}envelope"
    done = subprocess.run(
        [sys.executable, "-W", "error", str(ROOT / "examples/bridge_client.py"), url],
        env=environment(tmp_path),
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert "GF [[1, 1], [3, 21297]]" in done.stdout
    assert done.stdout.count("output {") == 10


def test_a_stalled_client_loses_only_its_own_messages(start: Start, line: PtyEndpoint) -> None:
    bridge = start(line.url, "--baud", "115200", "--family", "ucb", "--port", "0", "--interval-ms", "10")
    with bridge.connect() as client, socket.socket() as stalled:
        stalled.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        stalled.connect(("127.0.0.1", bridge.port))
        url = f"ws://127.0.0.1:{bridge.port}/envelope?readings=newest"  # all readings would wait for 60 s
        with connect(url, sock=stalled, max_queue=1, close_timeout=0.1) as slow:
            # Large answers fill the buffers of the connection; then the client stops reading.
            for _ in range(60):
                slow.send('{"cmd":"describe"}')
            until(lambda: status(bridge)["dropped"] > 20, "drops")
            seen = [client.wait(is_output)["data"]["counter"] for _ in range(50)]
            assert all((after - before) % 65536 < 200 for before, after in pairwise(seen))
            assert client.ask("status")["dropped"] == 0


def test_rejects_foreign_pages_hosts_and_paths(start: Start, line: PtyEndpoint) -> None:
    bridge = start(
        line.url, "--baud", "115200", "--family", "ucb", "--port", "0", "--origin", "https://developers.aceinna.com"
    )
    for origin, code in (("http://evil.example", 403), ("null", 403)):
        with pytest.raises(InvalidStatus) as caught, bridge.connect(origin=origin):
            pass
        assert caught.value.response.status_code == code
    for origin in ("https://developers.aceinna.com", f"http://localhost:{bridge.port}"):
        with bridge.connect(origin=origin) as client:
            client.wait(is_output)
    assert get(bridge, "/status", Host="evil.example")[0] == 421
    assert get(bridge, "/../../etc/passwd")[0] == 404
    with pytest.raises(InvalidStatus, match="404"), bridge.connect("other"):
        pass


def test_reports_each_rejected_origin_once_with_the_option_that_admits_it(bridge: RunningBridge) -> None:
    for origin in ("http://evil.example", "http://evil.example", "https://x.example;reboot \x9b2J"):
        with pytest.raises(InvalidStatus, match="403"), bridge.connect_without_token(origin=origin):
            pass
    text = bridge.log.read_text()
    assert text.count("--origin http://evil.example\n") == 1
    assert text.count("--origin 'https://x.example;reboot") == 1
    assert "\x9b" not in text


def test_requires_the_token_if_one_is_set(start: Start, line: PtyEndpoint) -> None:
    place = [line.url, "--baud", "115200", "--family", "ucb", "--port", "0"]
    bridge = start(*place, "--host", "0.0.0.0", **{TOKEN_VARIABLE: "hush-77"})  # noqa: S104 - what is tested
    with pytest.raises(InvalidStatus, match="401"), bridge.connect_without_token():
        pass
    with bridge.connect_without_token("envelope?token=hush-77") as client:
        client.wait(is_output)
    assert get(bridge, "/status")[0] == 401
    assert get(bridge, "/status", Authorization="Bearer hush-77")[0] == 200
    assert get(bridge, "/")[0] == 200  # the page, which asks for the token
    assert "hush-77" not in bridge.log.read_text()


def test_commands_of_programs_need_the_token(bridge: RunningBridge, unit: UcbSimulator) -> None:
    before = dict(unit.ram), dict(unit.eeprom)
    commands: dict[str, object] = dict.fromkeys(COMMANDS)
    commands |= {
        "set_params": {"paramId": 1, "value": 2},
        "SF": [[1, 2]],
        "WF": [[1, 2]],
        "load_file": "x.csv",
        "upgrade": {"image": "", "confirm": True},
    }
    with bridge.connect_without_token() as client:
        client.wait(is_output)
        errors = {name: client.ask_in_full(name, data)["err"] for name, data in commands.items()}
        assert {name for name, error in errors.items() if error is None} == READING_COMMANDS
        assert {error["code"] for error in errors.values() if error is not None} == {"token"}
        assert f"bridge-{bridge.port}.json" in errors["SF"]["message"]
        assert client.ask("status")["may_command"] is False
    assert (unit.ram, unit.eeprom) == before
    assert not bridge.folder.exists() or not list(bridge.folder.iterdir())
    with bridge.connect(f"envelope?token={bridge.token}") as client:
        assert client.ask("SF", [[1, 2]]) == [[1, 2]]
        assert client.ask("status")["may_command"] is True
    with pytest.raises(InvalidStatus, match="401"), bridge.connect_without_token("envelope?token=wrong"):
        pass


def test_the_token_is_only_in_a_private_file(bridge: RunningBridge, tmp_path: Path) -> None:
    path = tmp_path / f".pygnc/bridge-{bridge.port}.json"
    assert path.stat().st_mode & 0o777 == 0o600
    assert len(bridge.token) > 30
    with bridge.connect():
        pass
    shown = b"".join(get(bridge, name)[1] for name in ("/", "/bridge.js", "/messages.js", "/status"))
    shown += Path(f"/proc/{bridge.process.pid}/cmdline").read_bytes() + bridge.log.read_bytes()
    assert bridge.token.encode() not in shown


def test_allowed_pages_of_the_user_need_no_token(start: Start, line: PtyEndpoint, unit: UcbSimulator) -> None:
    page = "https://developers.aceinna.com"
    bridge = start(line.url, "--baud", "115200", "--family", "ucb", "--port", "0", "--origin", page).with_unit()
    for value, origin in ((2, page), (5, bridge.url.rstrip("/"))):
        with bridge.connect_without_token(origin=origin) as client:
            assert client.ask("SF", [[1, value]]) == [[1, value]]
    assert unit.ram[1] == 5


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can start a program of another user")
def test_another_user_cannot_pretend_to_be_a_page(bridge: RunningBridge, unit: UcbSimulator, tmp_path: Path) -> None:
    program = """
import encodings.idna, json, os, sys
from websockets.sync.client import connect
url, origin, user = sys.argv[1:]
os.setuid(int(user))
with connect(url, origin=origin) as client:
    client.send('{"cmd": "SF", "data": [[1, 2]]}')
    while (message := json.loads(client.recv(timeout=30)))["cmd"] != "SF":
        pass
    print(message["err"]["code"])
"""
    url = f"ws://127.0.0.1:{bridge.port}/envelope"
    stranger = subprocess.run(
        [sys.executable, "-c", program, url, bridge.url.rstrip("/"), str(NOBODY)],
        env=environment(tmp_path),
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )
    assert (stranger.stdout, stranger.stderr) == ("token\n", "")
    assert unit.ram[1] == 1


def test_old_clients_can_be_allowed(start: Start, line: PtyEndpoint, unit: UcbSimulator) -> None:
    place = [line.url, "--baud", "115200", "--family", "ucb", "--port", "0"]
    bridge = start(*place, "--allow-local-clients")
    with bridge.connect_without_token("v1") as client:
        client.wait(lambda message: "time" in message)  # a reading: the unit is connected
        client.send({"cmd": "SF", "data": [[1, 2]]})
        assert client.wait(lambda message: message.get("cmd") == "SF")["data"] == 1
    assert (bridge.token, unit.ram[1]) == ("", 2)


def run(*arguments: str, home: Path, **more: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "pygnc_instruments.bridge", "serve", *arguments]
    return subprocess.run(
        command, env=environment(home, **more), capture_output=True, text=True, timeout=PATIENCE_S, check=False
    )


def test_does_not_listen_on_the_network_without_a_token(tmp_path: Path) -> None:
    done = run("/dev/null", "--host", "0.0.0.0", home=tmp_path)  # noqa: S104 - what is tested
    assert (done.returncode, done.stdout) == (ExitCode.INPUT, "")
    assert "PYGNC_BRIDGE_TOKEN" in done.stderr


def test_clients_cannot_be_allowed_and_need_a_token_at_once(tmp_path: Path) -> None:
    done = run("/dev/null", "--allow-local-clients", home=tmp_path, **{TOKEN_VARIABLE: "hush-77"})
    assert (done.returncode, done.stdout) == (ExitCode.INPUT, "")
    assert TOKEN_VARIABLE in done.stderr


def test_a_second_bridge_reports_the_running_one(bridge: RunningBridge, tmp_path: Path) -> None:
    done = run("/dev/null", "--port", str(bridge.port), home=tmp_path)
    assert (done.returncode, done.stdout) == (ExitCode.INPUT, "")
    assert f"http://127.0.0.1:{bridge.port}/" in done.stderr
    assert str(bridge.process.pid) in done.stderr


def test_an_unwritable_home_causes_only_a_warning(start: Start, line: PtyEndpoint, tmp_path: Path) -> None:
    (tmp_path / ".pygnc").write_text("not a folder")
    bridge = start(line.url, "--baud", "115200", "--family", "ucb", "--port", "0")
    assert str(tmp_path / ".pygnc") in bridge.log.read_text()
    with bridge.connect_without_token() as client:
        client.wait(is_output)


def test_reports_a_port_that_another_program_uses(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        done = run("/dev/null", "--port", str(other.getsockname()[1]), home=tmp_path)
    assert done.returncode == ExitCode.INPUT
    assert "choose another port: --port" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("arguments", "message", "code"),
    [
        (("--protocol", "v3"), "v1, v2, openimu, envelope", ExitCode.INPUT),
        (("--family", "none"), "unknown device family", ExitCode.USAGE),
        (("--certificate", "/nowhere.pem"), "not a certificate", ExitCode.INPUT),
    ],
)
def test_wrong_options_give_a_plain_error(
    arguments: tuple[str, ...], message: str, code: ExitCode, tmp_path: Path
) -> None:
    done = run("/dev/null", "--port", "0", *arguments, home=tmp_path)
    assert done.returncode == code
    assert message in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signals_stop_the_bridge_in_order(bridge: RunningBridge, line: PtyEndpoint, number: signal.Signals) -> None:
    with bridge.connect() as client:
        client.wait(is_output)
        bridge.process.send_signal(number)
        assert bridge.process.wait(PATIENCE_S) == 0
    assert "Traceback" not in bridge.log.read_text()
    assert not list(bridge.log.parent.glob(".pygnc/*"))
    with Ucb.open(line.url) as device:  # the port is free again
        device.ping()


def test_page_is_served_with_security_headers(bridge: RunningBridge) -> None:
    code, body, headers = get(bridge, "/")
    assert code == 200
    assert b"<title>PyGNC bridge</title>" in body
    assert "default-src 'none'" in headers["Content-Security-Policy"]
    assert headers["X-Content-Type-Options"] == "nosniff"
    for path in ("/bridge.js", "/messages.js", "/plot.js", "/page.css", "/icon.svg"):
        assert get(bridge, path)[0] == 200


def test_ignores_connections_that_are_not_http(bridge: RunningBridge) -> None:
    for octets in (b"\x16\x03\x01\x02\x00", b"GET / HTTP/1.1\r\n" + b"X" * 70000, b"\r\n\r\n"):
        with socket.create_connection(("127.0.0.1", bridge.port)) as stranger:
            stranger.sendall(octets)
    with bridge.connect() as client:
        client.wait(is_output)
    assert "Traceback" not in bridge.log.read_text()
