import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest

from pygnc_station.server_settings import GadgetSettings, Public, Serve
from pygnc_station.settings_types import Location
from pygnc_station.store.hourly import update_hours
from pygnc_station.store.readings import HOUR_MS, clock_ms
from tests.pygnc_station.server.samples import Running, server
from tests.pygnc_station.server.test_series_api import fill

PLACE = Location(53.35, -6.26)
SITE = "https://school.example"


@pytest.fixture(scope="module")
def there(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """Server that needs a token for all but the PM2.5 of one gadget."""
    public = Public(gadgets=["OPC_1"], values=["pm_2_5_ug_m3"], frame_ancestors=[SITE])
    gadgets = {"OPC_1": GadgetSettings(PLACE), "OPC_2": GadgetSettings(PLACE)}
    with server(tmp_path_factory.mktemp("public"), open=False, public=public, gadgets=gadgets) as running:
        for name in ("OPC_1", "OPC_2"):
            fill(running.store, name, [(40.0, 0.0)] * 48, clock_ms() - 47 * HOUR_MS, HOUR_MS)
        update_hours(running.store)
        yield running


def get(there: Running, path: str, **query: Any) -> Any:  # noqa: ANN401 - any JSON
    answer = httpx.get(f"{there.url}/public/api/v1/{path}", params=query)
    assert answer.status_code == 200, answer.text
    return answer.json()


def test_only_the_chosen_values_of_the_chosen_gadgets_are_public(there: Running) -> None:
    (gadget,) = get(there, "overview/")["gadgets"]
    assert gadget["gadget"] == "OPC_1"
    assert [value["name"] for value in gadget["values"]] == ["pm_2_5_ug_m3"]
    assert gadget["location"] == {"latitude_deg": 53.35, "longitude_deg": -6.26}
    assert gadget["european_air_quality"]["index"] == 3
    (reading,) = get(there, "reading/latest/", gadget="opc_1")["results"]
    assert reading["values"] == {"pm_2_5_ug_m3": 40.0}
    assert reading["units"] == {"pm_2_5_ug_m3": "µg/m³"}
    assert len(get(there, "series/", gadget="OPC_1", name="pm_2_5_ug_m3")["points"]) == 48
    assert get(there, "limits/", gadget="OPC_1", name="pm_2_5_ug_m3")["results"][0]["days"] >= 1


@pytest.mark.parametrize(
    ("path", "query"),
    [
        ("reading/latest/", {}),
        ("reading/latest/", {"gadget": "OPC_2"}),
        ("series/", {"name": "pm_2_5_ug_m3"}),
        ("series/", {"name": "pm_2_5_ug_m3", "gadget_id": "OPC_1"}),
        ("series/", {"name": "pm_2_5_ug_m3", "gadget": "OPC_2"}),
        ("series/", {"name": "humidity_percent", "gadget": "OPC_1"}),
        ("limits/", {"name": "pm_2_5_ug_m3", "gadget": "OPC_2"}),
    ],
)
def test_everything_else_is_refused(there: Running, path: str, query: dict[str, str]) -> None:
    answer = httpx.get(f"{there.url}/public/api/v1/{path}", params=query)
    assert answer.status_code == 404
    assert "[serve.public]" in answer.json()["error"]


@pytest.mark.parametrize("path", ["fleet/", "reading/", "export/", "device/"])
def test_other_requests_have_no_public_form(there: Running, path: str) -> None:
    assert httpx.get(f"{there.url}/public/api/v1/{path}").status_code == 404
    assert httpx.get(f"{there.url}/api/v1/overview/").status_code == 401


def test_only_named_sites_may_embed_the_public_page_and_none_the_other(there: Running, tmp_path: Path) -> None:
    policy = httpx.get(f"{there.url}/public/").headers["content-security-policy"]
    assert f"frame-ancestors {SITE};" in policy
    assert "default-src 'self'" in policy
    with server(tmp_path / "server") as closed:
        assert httpx.get(f"{closed.url}/public/").status_code == 404
        assert "frame-ancestors 'none'" in httpx.get(closed.url).headers["content-security-policy"]


@pytest.mark.parametrize("path", ["/public/", "/public/nothing/here", "/nothing"])
def test_a_person_gets_a_page_where_there_is_none(tmp_path: Path, path: str) -> None:
    with server(tmp_path) as private, httpx.Client(base_url=private.url) as client:
        shown = client.get(path, headers={"accept": "text/html,*/*;q=0.8"})
        assert shown.status_code == 404
        assert shown.headers["content-type"].startswith("text/html")
        assert "There is no " in shown.text
        (style,) = re.findall(r'rel="stylesheet" href="([^"]*)"', shown.text)
        assert client.get(shown.url.join(style)).status_code == 200
        assert shown.url.join(re.findall(r'<a href="([^"]*)"', shown.text)[0]).path == "/"
        assert client.get(path).json()["error"], "a program gets JSON"


def test_places_and_indices_of_values_that_are_not_public_are_hidden(tmp_path: Path) -> None:
    public = Public(gadgets=["OPC_1"], values=["humidity_percent"], places=False)
    with server(tmp_path / "server", public=public, gadgets={"OPC_1": GadgetSettings(PLACE)}) as there:
        fill(there.store, "OPC_1", [(40.0, 20.0)] * 30, clock_ms() - 29 * HOUR_MS, HOUR_MS)
        update_hours(there.store)
        (gadget,) = get(there, "overview/")["gadgets"]
    assert (gadget["location"], gadget["air_quality"], gadget["european_air_quality"]) == (None, None, None)
    assert [value["name"] for value in gadget["values"]] == ["humidity_percent"]


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("tiles", "https://tiles.example; script-src *"),
        ("tiles", "https://tiles.example"),
        ("tiles", "javascript:alert(1)/"),
        ("public", {"frame_ancestors": ["https://a.example 'unsafe-inline'"]}),
        ("public", {"frame_ancestors": ["*"]}),
    ],
)
def test_addresses_cannot_change_the_policy_of_a_page(key: str, value: object) -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert({key: value}, Serve)


@pytest.mark.parametrize(
    "content", [{"time_zone": "Europe/Nowhere"}, {"gadgets": {"G": {"time_zone": "Europe/Nowhere"}}}]
)
def test_an_unknown_time_zone_is_named(content: dict[str, object]) -> None:
    with pytest.raises(msgspec.ValidationError, match="Europe/Nowhere"):
        msgspec.convert(content, Serve)
