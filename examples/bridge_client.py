"""Client of `pygnc bridge`: `python examples/bridge_client.py ws://127.0.0.1:8000/envelope`."""

import json
import sys

from websockets.sync.client import connect


def main(url: str = "ws://127.0.0.1:8000/envelope") -> None:
    """Print the fields in effect and ten readings."""
    with connect(url) as bridge:
        bridge.send(json.dumps({"cmd": "GF", "data": [1, 3]}))
        readings = 0
        while readings < 10:
            message = json.loads(bridge.recv(timeout=10))
            if message["err"] is not None:
                sys.exit(message["err"]["message"])
            readings += message["cmd"] == "output"
            print(message["cmd"], message["data"])


if __name__ == "__main__":
    main(*sys.argv[1:])
