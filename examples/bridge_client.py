"""Client of `pygnc bridge`: `python examples/bridge_client.py ws://127.0.0.1:8000/envelope`."""

import json
import sys
from pathlib import Path
from urllib.parse import urlsplit

from websockets.sync.client import connect


def main(url: str, rate_hz: str = "") -> None:
    """Print the fields in effect and ten readings; set the packet rate first if it is given."""
    with connect(url, additional_headers=credentials(url)) as bridge:
        if rate_hz:
            bridge.send(json.dumps({"cmd": "SF", "data": [[1, 100 // int(rate_hz)]]}))
        bridge.send(json.dumps({"cmd": "GF", "data": [1, 3]}))
        readings = 0
        while readings < 10:
            message = json.loads(bridge.recv(timeout=10))
            if message["err"] is not None:
                sys.exit(message["err"]["message"])
            readings += message["cmd"] == "output"
            print(message["cmd"], message["data"])


def credentials(url: str) -> dict[str, str]:
    """Return the header with the token of a bridge that this user has started; commands need it, readings do not."""
    path = Path.home() / ".pygnc" / f"bridge-{urlsplit(url).port}.json"
    token = json.loads(path.read_text())["token"] if path.exists() else ""
    return {"Authorization": f"Bearer {token}"} if token else {}


if __name__ == "__main__":
    if len(sys.argv) == 1:
        sys.exit("usage: python examples/bridge_client.py ws://127.0.0.1:8000/envelope [HZ]")
    main(*sys.argv[1:])
