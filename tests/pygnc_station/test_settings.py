from pathlib import Path

import pytest

from pygnc_station.errors import StationError
from pygnc_station.settings import StationSettings, Upload, cursor_of
from pygnc_station.settings_file import read_settings
from pygnc_station.upload.uploader import sender_of

TOML = """
name = "roof"
[[device]]
gadget = "opc 1"
family = "ucb"
port = "/dev/ttyACM0"
interval_s = 5
[store]
url = "mysql://pi:${STATION_PASSWORD}@db/x"
[upload]
url = "s3://bucket/readings"
"""
YAML = """
name: roof
device:
  - {gadget: opc 1, family: ucb, port: /dev/ttyACM0, interval_s: 5}
store: {url: "mysql://pi:${STATION_PASSWORD}@db/x"}
upload: {url: "s3://bucket/readings"}
"""


def _read(tmp_path: Path, text: str, name: str = "station.toml") -> StationSettings:
    path = tmp_path / name
    path.write_text(text)
    return read_settings(path)


def test_toml_and_yaml_are_equivalent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STATION_PASSWORD", "word")
    settings = _read(tmp_path, TOML)
    assert settings == _read(tmp_path, YAML, "station.yaml")
    assert settings.store_url == "mysql://pi:word@db/x"
    assert settings.upload.kind == "object_store"
    assert settings.path("batches2upload") == tmp_path / "batches2upload"


def test_store_paths_are_relative_to_the_settings_file(tmp_path: Path) -> None:
    settings = _read(tmp_path, "[store]\nurl = 'sqlite:///r.db'\n[sync]\nurl = '../central.db'")
    assert settings.store_url == str(tmp_path / "r.db")
    assert settings.central_url == str(tmp_path / "../central.db")
    assert _read(tmp_path, "[sync]\nurl = 'mysql://db/x'").central_url == "mysql://db/x"
    assert _read(tmp_path, "").central_url == ""


def test_reports_a_settings_file_that_is_not_utf8(tmp_path: Path) -> None:
    path = tmp_path / "station.toml"
    path.write_bytes(b"name = '\xff'")
    with pytest.raises(StationError, match=r"station\.toml: byte 8 is not UTF-8 text"):
        read_settings(path)


def test_finds_default_settings_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    with pytest.raises(StationError, match=r"create station\.toml here"):
        read_settings(None)
    (tmp_path / "settings.yaml").write_text("name: from yaml")
    assert read_settings(None).name == "from yaml"
    (tmp_path / "station.toml").write_text("name = 'from toml'")
    assert read_settings(None).name == "from toml"


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("nmae = 'x'", "unknown field `nmae`"),
        ("name = 3", r"Expected `str`, got `int` - at `\$\.name`"),
        ("[[device]]\ngadget = 'a'", "missing required field `family`"),
        ("[[device]]\ngadget='a/b'\nfamily='ucb'\nport='x'", "gadget 'a/b' may contain only letters"),
        ("[[device]]\ngadget='a'\nfamily='ucb'\nport='x'\n" * 2, "gadget 'a' is the name of two devices"),
        (
            "[[device]]\ngadget='a'\nfamily='ucb'\nport='x'\ninterval_s=-1",
            r"`float` >= 0.0 - at `\$\.device\[0\]\.interval_s`",
        ),
        ("[[device]]\ngadget='a'\nfamily='ucb'\nport='x'\ninterval_s=nan", r"\.interval_s`"),
        ("[[device]]\ngadget='a'\nfamily='ucb'\nport=''", r"length >= 1 - at `\$\.device\[0\]\.port`"),
        ("[batches]\nmost_readings = 0", r"`int` >= 1 - at `\$\.batches\.most_readings`"),
        ("[store]\nkeep_days = -1", r"\$\.store\.keep_days"),
        ("[serve]\nport = 99999", r"`int` <= 65535 - at `\$\.serve\.port`"),
        ("[batches]\nmode = 'OFTEN'", "Invalid enum value"),
        ("[store]\nurl = '${NOT_SET_ANYWHERE}'", "NOT_SET_ANYWHERE} is not set"),
        ("name = ", "Invalid value"),
    ],
)
def test_reports_invalid_settings_with_the_file(tmp_path: Path, text: str, why: str) -> None:
    with pytest.raises(StationError, match=why) as error:
        _read(tmp_path, text)
    assert "station.toml" in str(error.value)


@pytest.mark.parametrize(
    ("name", "text", "why"),
    [
        ("s.yaml", "a: [1", r"expected ',' or '\]'.* \(at line 1, column 6\)"),
        ("s.yaml", "", "is empty"),
        ("s.yaml", "just words", "contains no keys"),
        ("s.yaml", "!!python/object/apply:os.system ['true']", "could not determine a constructor"),
    ],
)
def test_rejects_invalid_yaml(tmp_path: Path, name: str, text: str, why: str) -> None:
    with pytest.raises(StationError, match=why):
        _read(tmp_path, text, name)


def test_reports_a_missing_settings_file(tmp_path: Path) -> None:
    with pytest.raises(StationError, match=r"none\.toml: No such file"):
        read_settings(tmp_path / "none.toml")


def test_former_tables_of_outputs_are_settings_of_sinks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORD", "secret")
    text = "[mqtt]\nhost = 'broker'\npassword = '${WORD}'\n[influx]\nurl = ''\n[prometheus]\n[sinks.csv]\nfolder = 'f'"
    mqtt = {"host": "broker", "password": "secret"}
    assert _read(tmp_path, text).sinks == {"mqtt": mqtt, "csv": {"folder": "f"}}
    with pytest.raises(StationError, match=r"station\.toml: \[mqtt\] and \[sinks\.mqtt\] .*; delete \[mqtt\]"):
        _read(tmp_path, text + "\n[sinks.mqtt]\nhost = 'broker'")


def test_outputs_with_former_tables_continue_where_they_were() -> None:
    assert (cursor_of("influx"), cursor_of("csv")) == ("influx", "sinks.csv")


@pytest.mark.parametrize(("url", "kind"), [("https://x", "station"), ("file:///x", "object_store"), ("", "station")])
def test_the_upload_protocol_follows_from_the_url(url: str, kind: str) -> None:
    assert Upload(url).kind == kind


def test_variables_are_read_from_the_environment_or_an_env_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / ".env").write_text("EMUS_SERIAL_PORT=/dev/ttyUSB4\nSTATION_PASSWORD=from the file\n")
    monkeypatch.setenv("STATION_PASSWORD", "word")
    settings = _read(tmp_path, TOML.replace("/dev/ttyACM0", "${EMUS_SERIAL_PORT}"))
    assert settings.device[0].port == "/dev/ttyUSB4"
    assert settings.store_url == "mysql://pi:word@db/x"


def test_a_protocol_that_no_package_adds_is_named() -> None:
    with pytest.raises(StationError, match=r"way = 'pigeon' in \[upload\]: no installed package adds this protocol; "):
        sender_of(StationSettings(upload=Upload("https://x", way="pigeon")))
