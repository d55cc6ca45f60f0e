import httpx
import pytest

from pygnc_station.errors import UnreachableError
from pygnc_station.upload.station_server import send_request


@pytest.mark.parametrize(
    ("reason", "shown"),
    [
        ("too many attempts; retry in a minute", "(too many attempts; retry in a minute)"),
        ("the server is busy", "(the server is busy); retry later"),
    ],
)
def test_the_time_of_the_next_attempt_is_given_once(reason: str, shown: str) -> None:
    transport = httpx.MockTransport(lambda _: httpx.Response(503, json={"error": reason}))
    with httpx.Client(transport=transport, base_url="http://there") as client:
        with pytest.raises(UnreachableError) as raised:
            send_request(client, "GET", "/")
        assert str(raised.value).endswith(f"temporary failure {shown}")
