"""Commands on a simulated Xsens unit, and on a recording of it."""

import csv
import re
from pathlib import Path

from pygnc_cli.exit_codes import ExitCode
from pygnc_instruments.simulators.endpoints import PtyEndpoint
from pygnc_instruments.simulators.xsens_unit import XsensSimulator
from tests.pygnc_instruments.device.running import run, run_json


def test_a_unit_is_found_configured_logged_and_its_recording_read(tmp_path: Path) -> None:
    with PtyEndpoint(XsensSimulator(), tmp_path / "mti", speed=4.0) as line:
        assert run_json("list", line.url)["found"][0]["family"] == "xsens"
        port = (line.url, "--family", "xsens", "--baud", 115200)
        assert run_json("info", *port)["rate"] == "100 Hz"
        assert "use write to store them" in run("set", *port, "location_id=7", code=ExitCode.DEVICE).stderr
        run("write", *port, "location_id=7", "outputs=packet_counter,sample_time_fine,acceleration:100,pressure:50")
        assert run_json("get", *port, "location_id")["location_id"]["value"] == 7
        run("log", *port, "--out", tmp_path / "logs", "--name", "x", "--count", 40, "--raw")
    # A first reading without pressure is of another kind than those after the first pressure, with a file of its own.
    texts = [path.read_text().splitlines() for path in sorted((tmp_path / "logs").glob("x*.csv"))]
    rows = [row for text in texts for row in csv.DictReader(line for line in text if line[0] != "#")]
    assert len(rows) == 40
    assert {row.get("pressure", "") == "" for row in rows} == {True, False}
    content = run_json("info", next((tmp_path / "logs").glob("*.raw")))
    assert (content["family"], content["bad_checksums"]) == ("xsens", "0")
    assert sum(map(int, re.findall(r"\b\d+(?= data)", content["readings"]))) >= 40
