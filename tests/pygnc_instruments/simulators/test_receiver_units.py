"""Simulated receivers and commands of their drivers, as other libraries read them."""

from collections.abc import Callable
from typing import Any

import pytest
import pyubx2
from novatel_edie import oem

from pygnc_devices.family import family
from pygnc_devices.framing import Frame
from pygnc_instruments.simulators.receiver_units import NovatelSimulator, SkytraqSimulator, UbloxSimulator


def test_novatel_edie_reads_logs_of_the_simulated_receiver() -> None:
    unit, parser = NovatelSimulator(), oem.Parser()
    unit.receive(b"\r\nLOG VERSIONA ONCE\r\n", 1.0)
    parser.write(unit.run(1.0) + unit.message(unit.gps_s(2.0)))
    version, position = (message.to_dict() for message in parser if hasattr(message, "to_dict"))
    assert version["versions"][0]["psn"] == "BMHR15470120X"
    expected = unit.solution(unit.gps_s(2.0))
    assert (position["x"], position["z_1"]) == (expected["ecef_x_m"], expected["velocity_z_mps"])
    assert position["solution_status"].name == "SOL_COMPUTED"


def test_pyubx2_reads_messages_of_the_simulated_receivers() -> None:
    unit, old = UbloxSimulator(), UbloxSimulator(generation=6)
    expected = unit.values(unit.gps_s(2.0))
    pvt, sol = (pyubx2.UBXReader.parse(one.message(one.gps_s(2.0))) for one in (unit, old))
    assert (pvt.identity, pvt.gnssFixOk, pvt.validTime) == ("NAV-PVT", 1, 1)
    assert 1e-3 * pvt.velN == pytest.approx(expected["velocity_north_mps"], abs=1e-3)
    assert (sol.identity, sol.wknSet, sol.ecefX) == ("NAV-SOL", 1, round(100.0 * expected["ecef_x_m"]))
    unit.receive(pyubx2.UBXMessage("MON", "MON-VER", pyubx2.POLL).serialize(), 1.0)
    assert pyubx2.UBXReader.parse(unit.run(1.0)).extension_03.rstrip(b"\0") == b"MOD=ZED-F9P"


def sent_by(name: str, refusal: Callable[[bytes], Frame], refused: int) -> list[bytes]:
    """Return the commands that set 10 Hz; the first `refused` ones are refused."""
    unit: Any = family(name).interpreter(0)
    operation, sent, answer = unit.commands.set_rate(10.0), [], None
    try:
        while True:
            sent.append(operation.send(answer).octets)
            frame = refusal(sent[-1])
            accepted = {"05-00": "05-01", "84": "83"}[frame.kind]
            answer = (frame if len(sent) <= refused else Frame(accepted, frame.payload, b""),)
    except StopIteration:
        return sent


def test_pyubx2_reads_the_commands_of_the_driver() -> None:
    def refusal(command: bytes) -> Frame:
        return Frame("05-00", command[2:4], b"")

    old = [pyubx2.UBXReader.parse(command, msgmode=pyubx2.SET) for command in sent_by("ublox", refusal, 0)]
    assert [message.identity for message in old] == ["CFG-MSG", "CFG-RATE"]
    # Three bytes are the rate on the port that the command comes from; pyubx2 reads them as the first of all ports.
    assert (old[0].msgClass, old[0].msgID, old[0].length) == (1, 7, 3)
    assert (old[1].measRate, old[1].navRate, old[1].timeRef) == (100, 1, 1)
    new = [pyubx2.UBXReader.parse(command, msgmode=pyubx2.SET) for command in sent_by("ublox", refusal, 2)[2:]]
    assert {message.identity for message in new} == {"CFG-VALSET"}
    assert new[0].CFG_RATE_MEAS == 100
    assert new[1].CFG_MSGOUT_UBX_NAV_PVT_UART1 == 1
    assert new[2].CFG_MSGOUT_UBX_NAV_PVT_USB == 1
    assert new[3].CFG_MSGOUT_UBX_NAV_PVT_UART2 == 1


def test_the_simulated_venus_answers_the_commands_of_its_driver() -> None:
    unit = SkytraqSimulator()
    for command in sent_by("skytraq", lambda command: Frame("84", command[4:5], b""), 0):
        unit.receive(command, 1.0)
    assert unit.rate_hz == 10.0
    assert unit.run(1.0).startswith(bytes.fromhex("a0a1000283098a0d0a"))
