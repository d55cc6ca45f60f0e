"""Message protocols: exact requests, answers, readings and events."""

import json
import math
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pygnc_devices.declaration import Field, Packet
from pygnc_devices.reading import Reading
from pygnc_devices.ucb.packets import OUTPUT_PACKETS
from pygnc_devices.units import RATE
from pygnc_instruments.bridge.messages import COMMANDS, BridgeError, ErrorCode, Event, output_values
from pygnc_instruments.bridge.protocols import (
    OPENIMU_METHODS,
    V2_ACTIONS,
    MessageProtocol,
    ProtocolOpenImu,
    ProtocolV1,
    ProtocolV2,
)

NO_LOG_OPTIONS = {"file_name": "", "user": "", "access_token": "", "storage": ""}
NO_UPGRADE_OPTIONS = {"image": b"", "confirmed": False, "recover": False, "sha256": ""}
PROTOCOLS: tuple[Callable[[], MessageProtocol], ...] = (ProtocolV1, ProtocolV2, MessageProtocol)
DEVICE = {"connected": True, "id": "7 IMU", "divider": 1, "packet": "S1", "reason": ""}
STATUS = {
    "device": DEVICE,
    "log": {"active": True, "file": "a.csv"},
    "properties": {"name": "IMU"},
    "interval_ms": 50,
}


Parsed = tuple[str, dict[str, Any]]


def parsed(protocol: MessageProtocol, text: str) -> Parsed:
    request = protocol.parse(text)
    return request.command, request.arguments


def action(name: str, data: object) -> str:
    return json.dumps({"messageType": "requestAction", "data": {name: data}})


@pytest.mark.parametrize(
    ("text", "command"),
    [
        ("status", ("status", {})),
        ("start_log", ("start_log", NO_LOG_OPTIONS)),
        ("stop_log\n", ("stop_log", {})),
        ("stream", ("start_stream", {})),
        ('{"cmd":"GF","data":[1,3]}', ("GF", {"ids": (1, 3)})),
        ('{"cmd":"RF","data":[7]}', ("RF", {"ids": (7,)})),
        ('{"cmd":"SF","data":[[1,5]]}', ("SF", {"values": {1: 5}})),
        ('{"cmd":"WF","data":[[1,5],[3,21297]]}', ("WF", {"values": {1: 5, 3: 21297}})),
    ],
)
def test_v1_parses_requests(text: str, command: Parsed) -> None:
    assert parsed(ProtocolV1(), text) == command


@pytest.mark.parametrize(
    ("text", "command"),
    [
        ('{"messageType":"serverStatus"}', ("status", {})),
        (action("getFields", {"1": "", "3": ""}), ("GF", {"ids": (1, 3)})),
        (action("readFields", {"7": 0}), ("RF", {"ids": (7,)})),
        (action("setFields", {"1": "5"}), ("SF", {"values": {1: 5}})),
        (action("writeFields", {"3": 21297}), ("WF", {"values": {3: 21297}})),
        (action("startStream", {}), ("start_stream", {})),
        (action("stopStream", {}), ("stop_stream", {})),
        (
            action("startLog", {"fileName": "a", "id": 12, "access_token": "t"}),
            ("start_log", NO_LOG_OPTIONS | {"file_name": "a", "user": "12", "access_token": "t"}),
        ),
        (action("stopLog", {}), ("stop_log", {})),
        (action("listFiles", {}), ("list_files", {})),
        (action("loadFile", {"graph_id": "a.csv"}), ("load_file", {"name": "a.csv"})),
        (
            action("upgrade", {"image": "AAE=", "confirm": True}),
            ("upgrade", NO_UPGRADE_OPTIONS | {"image": b"\0\1", "confirmed": True}),
        ),
    ],
)
def test_v2_parses_requests(text: str, command: Parsed) -> None:
    assert parsed(ProtocolV2(), text) == command


@pytest.mark.parametrize(
    ("cmd", "data", "command"),
    [
        ("status", None, ("status", {})),
        ("describe", None, ("describe", {})),
        ("start_stream", None, ("start_stream", {})),
        ("stop_stream", None, ("stop_stream", {})),
        ("GF", None, ("GF", {"ids": None})),
        ("SF", {"1": 5}, ("SF", {"values": {1: 5}})),
        (
            "start_log",
            {"file_name": "a", "storage": "s3://x"},
            ("start_log", NO_LOG_OPTIONS | {"file_name": "a", "storage": "s3://x"}),
        ),
        ("load_file", "a.csv", ("load_file", {"name": "a.csv"})),
        ("upgrade", {"image": "", "recover": True}, ("upgrade", NO_UPGRADE_OPTIONS | {"recover": True})),
    ],
)
def test_envelope_and_v1_parse_envelopes(cmd: str, data: object, command: Parsed) -> None:
    text = json.dumps({"cmd": cmd, "data": data, "err": None})
    assert parsed(MessageProtocol(), text) == command
    assert parsed(ProtocolV1(), text) == command


def answer(protocol: MessageProtocol, text: str, result: Any) -> Any:  # noqa: ANN401 - any JSON
    return json.loads(protocol.response(protocol.parse(text), result))


def test_v1_answers() -> None:
    v1 = ProtocolV1()
    assert answer(v1, "status", STATUS) == {"status": "pygnc bridge 1", "odr": 1, "device_id": "7 IMU"}
    assert answer(v1, "start_log", {"file": "a.csv"}) == {"logfile": "a.csv"}
    assert answer(v1, "stop_log", {"file": ""}) == {"logfile": ""}
    assert answer(v1, '{"cmd":"GF","data":[1]}', {1: 5}) == {"cmd": "GF", "data": [[1, 5]]}
    assert answer(v1, '{"cmd":"SF","data":[[1,5]]}', {1: 5}) == {"cmd": "SF", "data": 1}
    assert answer(v1, '{"cmd":"list_files"}', []) == {"cmd": "list_files", "data": [], "err": None}


def test_v2_answers() -> None:
    v2 = ProtocolV2()
    status = answer(v2, '{"messageType":"serverStatus"}', STATUS)
    assert status["messageType"] == "serverStatus"
    assert status["data"].items() >= {
        "serverUpdateRate": 50,
        "packetType": "S1",
        "deviceId": "7 IMU",
        "deviceProperties": {"name": "IMU"},
        "logging": True,
        "fileName": "a.csv",
    }.items()  # fmt: skip
    without = answer(v2, '{"messageType":"serverStatus"}', STATUS | {"device": DEVICE | {"connected": False}})
    assert not {"packetType", "deviceProperties"} & set(without["data"])
    for word in ("getFields", "readFields"):
        assert answer(v2, action(word, {"1": 0}), {1: 5})["data"] == {word: [[1, 5]]}
    for word in ("setFields", "writeFields"):
        assert answer(v2, action(word, {"1": "5"}), {1: 5})["data"] == {word: [[1, 5]]}
    assert answer(v2, action("startLog", {}), {"file": "a.csv"})["data"] == {"logfile": "a.csv"}
    assert answer(v2, action("stopLog", {}), {"file": ""})["data"] == {"logfile": ""}
    assert answer(v2, action("listFiles", {}), [{"name": "a.csv"}])["data"] == {"listFiles": ["a.csv"]}
    assert answer(v2, action("loadFile", {"graph_id": "a.csv"}), {"text": "x\n"})["data"] == {"loadFile": "x\n"}


def test_envelope_answers() -> None:
    assert answer(MessageProtocol(), '{"cmd":"GF"}', {1: 5}) == {"cmd": "GF", "data": [[1, 5]], "err": None}


def method(name: str, parameters: object = None) -> str:
    return json.dumps({"method": name, "params": parameters})


@pytest.mark.parametrize(
    ("name", "parameters", "command"),
    [
        ("getServerInfo", None, ("status", {})),
        ("getParams", [], ("params", {"number": None})),
        ("getParam", {"paramId": 4}, ("params", {"number": 4})),
        ("setParam", {"paramId": 4, "value": 100}, ("set_params", {"values": {4: 100}})),
        ("setParams", [{"paramId": "3", "value": "z1"}], ("set_params", {"values": {3: "z1"}})),
        ("saveConfig", None, ("save_params", {})),
        ("startLog", {"fileName": "a", "id": "u"}, ("start_log", NO_LOG_OPTIONS | {"file_name": "a", "user": "u"})),
    ],
)
def test_openimu_parses_requests(name: str, parameters: object, command: Parsed) -> None:
    assert parsed(ProtocolOpenImu(), method(name, parameters)) == command


def test_openimu_answers() -> None:
    protocol = ProtocolOpenImu()
    parameter = {"paramId": 4, "name": "Packet Rate", "value": 100}

    def result(name: str, value: Any = None, parameters: object = None) -> Any:  # noqa: ANN401 - any JSON
        message = answer(protocol, method(name, parameters), value)
        assert message["method"] == name
        return message["result"]

    assert result("getServerInfo", STATUS)["packetType"] == "serverInfo"
    assert result("getServerInfo", STATUS)["data"].items() >= {"deviceConnected": True, "clientCount": 0}.items()
    names = {entry["name"]: entry["value"] for entry in result("getDeviceInfo", STATUS)["data"]}
    assert names == {"Product Name": "IMU", "PN": "-", "Firmware Version": "-", "SN": "7", "App Version": "IMU"}
    assert result("getParams", [parameter]) == {"packetType": "inputParams", "data": [parameter]}
    assert result("getParam", [parameter], {"paramId": 4}) == {"packetType": "inputParam", "data": parameter}
    expected = {"packetType": "success", "data": {"error": 0}}
    assert result("setParam", {"error": 0}, {"paramId": 4, "value": 50}) == expected
    assert result("startStream", {"on": True}) == {"packetType": "success"}
    assert result("startLog", {"file": "a.csv"}) == {"packetType": "success", "data": "a.csv"}


def test_openimu_reports_errors_and_events() -> None:
    protocol = ProtocolOpenImu()
    error = BridgeError(ErrorCode.UNKNOWN_COMMAND, "unknown method")
    assert json.loads(protocol.rejection("", error)) == {
        "method": "unknown",
        "result": {"packetType": "error", "data": {"message": "unknown method"}
                   | dict.fromkeys(("code", "error"), "unknown_command")},
    }  # fmt: skip
    found = json.loads(protocol.events(Event("device", DEVICE))[0])
    assert found["result"]["data"]["deviceType"] == "DMU"
    assert protocol.events(Event("device", DEVICE)) == []
    lost = [json.loads(text) for text in protocol.events(Event("device", DEVICE | {"connected": False}))]
    assert lost[0] == {"method": "stream", "result": {"packetType": "ping", "data": {"status": 2}}}
    assert lost[1]["result"]["data"].items() >= {"deviceConnected": False}.items()
    running = {"state": "running", "phase": "write", "written_bytes": 240, "total_bytes": 1000}
    assert json.loads(protocol.events(Event("upgrade_progress", running))[0])["result"] == {
        "packetType": "upgrade_progress",
        "data": {"addr": 240, "fs_len": 1000},
    }
    (done,) = protocol.events(Event("upgrade_progress", {"state": "done"}))
    assert json.loads(done)["result"]["data"] == {"success": True}
    (failed,) = protocol.events(Event("upgrade_progress", {"state": "failed", "message": "no"}))
    assert json.loads(failed)["result"]["data"].items() >= {"success": False, "message": "no"}.items()
    assert protocol.events(Event("log", {"active": True})) == []


def test_openimu_requires_the_number_of_a_parameter() -> None:
    with pytest.raises(BridgeError, match="number is missing"):
        ProtocolOpenImu().parse(method("getParam", {}))


def test_readings_in_each_protocol() -> None:
    values = {"time": 9.0, "xAccel": 0.5, "counter": 7}
    v1 = ProtocolV1()
    numbered = [values | {"time": number} for number in (1, 2, 3)]
    assert [*map(json.loads, v1.output([values], "S1")), *map(json.loads, v1.output([values] * 2, "S1"))] == numbered
    (lists,) = ProtocolOpenImu().output([values, values], "z1")
    assert json.loads(lists) == {
        "method": "stream",
        "result": {"packetType": "z1", "data": [values, values]},
    }
    assert json.loads(ProtocolV2().output([values], "S1")[0]) == {
        "messageType": "event",
        "data": {"newOutput": values},
    }
    assert json.loads(MessageProtocol().output([values], "S1")[0]) == {
        "cmd": "output",
        "data": values,
        "err": None,
    }


def test_openimu_names_the_time_words_of_packets_as_python_openimu_does() -> None:
    z1 = {"time": 0.5, "timeCounter": 4_000_000, "xAccel": 1.0}
    s1 = {"time": 0.5, "tstmp": 4000, "timeSec": 4.0}
    (first,), (second,) = ProtocolOpenImu().output([z1], "z1"), ProtocolOpenImu().output([s1], "s1")
    assert json.loads(first)["result"]["data"] == [{"time": 4_000_000, "xAccel": 1.0}]
    assert json.loads(second)["result"]["data"] == [{"time": 4.0, "timeCntr": 4000}]


def test_default_intervals_are_those_of_python_imu380() -> None:
    assert [make().interval_s for make in PROTOCOLS] == [0.033, 0.050, 0.033]


def test_errors_are_objects_in_every_protocol() -> None:
    error = BridgeError(ErrorCode.REFUSED, "no", refused=[97])
    as_object = {"code": "refused", "message": "no", "refused": [97]}
    for make, word in ((ProtocolV1, "GF"), (ProtocolV2, "getFields"), (MessageProtocol, "GF")):
        assert json.loads(make().rejection(word, error))["err"] == as_object
        assert json.loads(make().rejection("", error))["err"] == as_object
    # An old client, which does not know `err`, finds the usual form with an empty value.
    assert json.loads(ProtocolV1().rejection("GF", error))["data"] == []
    assert json.loads(ProtocolV2().rejection("getFields", error))["data"] == {"getFields": []}
    assert json.loads(ProtocolV2().rejection("startLog", error))["data"] == {"logfile": ""}


def test_disconnection_is_reported_in_every_protocol() -> None:
    event = Event("device", DEVICE | {"connected": False, "reason": "unplugged"})
    assert json.loads(ProtocolV1().events(event)[0]) == {"error": {"code": "no_device", "message": "unplugged"}}
    assert json.loads(ProtocolV2().events(event)[0])["data"]["device"]["reason"] == "unplugged"
    assert json.loads(MessageProtocol().events(event)[0])["data"]["connected"] is False


def test_repr_of_a_command_does_not_contain_the_access_token() -> None:
    command = ProtocolV2().parse(action("startLog", {"access_token": "hush-1", "storage": "https://x/?sig=hush-2"}))
    assert "hush" not in repr(command)


def test_nan_becomes_null() -> None:
    packet = Packet("zz", (Field("rate_rad_s", "f", RATE), Field("tag", "2s")))
    reading = Reading(packet, b"", {"rate_rad_s": math.nan, "tag": b"ab"}, 0, 0)
    assert output_values(reading) == {"rate_rad_s": None, "tag": "ab"}
    assert json.loads(MessageProtocol().output([output_values(reading)], "S1")[0])["data"]["rate_rad_s"] is None


def test_readings_have_names_and_units_of_csv_columns() -> None:
    s1 = next(packet for packet in OUTPUT_PACKETS if packet.name == "S1")
    values = s1.decode(s1.encode({"rate_x_rad_s": math.radians(10), "counter": 3}))
    output = output_values(Reading(s1, b"", values, 0, 0))
    assert list(output)[:4] == ["xAccel", "yAccel", "zAccel", "xRate"]
    assert output["xRate"] == pytest.approx(10, abs=0.02)
    assert output["counter"] == 3


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
MESSAGES = st.one_of(
    st.text(max_size=40),
    st.binary(max_size=40),
    JSON.map(json.dumps),
    st.builds(lambda cmd, data: json.dumps({"cmd": cmd, "data": data}), st.sampled_from(sorted(COMMANDS)), JSON),
    st.builds(action, st.sampled_from(sorted(V2_ACTIONS)), JSON),
    st.builds(method, st.sampled_from(sorted(OPENIMU_METHODS)), JSON),
)


@given(MESSAGES)
def test_any_message_is_parsed_or_rejected_with_an_error_object(message: str | bytes) -> None:
    for make in PROTOCOLS:
        protocol = make()
        try:
            request = protocol.parse(message)
        except BridgeError as error:
            refusal = json.loads(protocol.rejection(str(error.details.pop("cmd", "")), error))
            assert refusal["err"].keys() >= {"code", "message"}
        else:
            assert request.name


@given(MESSAGES)
def test_any_message_is_parsed_or_rejected_in_the_form_of_openimu(message: str | bytes) -> None:
    protocol = ProtocolOpenImu()
    try:
        request = protocol.parse(message)
    except BridgeError as error:
        refusal = json.loads(protocol.rejection(str(error.details.pop("cmd", "")), error))
        assert refusal["result"]["packetType"] == "error"
    else:
        assert request.name in OPENIMU_METHODS


@pytest.mark.parametrize("depth", [10_000])
def test_rejects_deep_nesting(depth: int) -> None:
    with pytest.raises(BridgeError):
        MessageProtocol().parse('{"cmd":"GF","data":' + "[" * depth + "]" * depth + "}")


@pytest.mark.parametrize("value", [-1, 65536, 1.5, True, None, "x", "99999999999999", [1]])
def test_rejects_fields_and_values_outside_16_bits(value: object) -> None:
    with pytest.raises(BridgeError, match="0 to 65535"):
        MessageProtocol().parse(json.dumps({"cmd": "SF", "data": [[1, value]]}))
