"""Reader of packed recordings, written from the description of the format."""

import gzip
import json
from typing import Any

import numpy as np

Tables = dict[str, dict[str, Any]]


def unpack(packed: bytes) -> tuple[Tables, dict[str, Any]]:
    """Return the columns by table and name, as arrays or lists of texts, and what else the page shows."""
    content = gzip.decompress(packed)
    length = int.from_bytes(content[-4:], "little")
    header = json.loads(content[-4 - length : -4])
    tables: Tables = {}
    for column in header["columns"]:
        kind = {"time": "<f8", "number": "<f4", "text": "<u2"}[column["form"]]
        size, rows = np.dtype(kind).itemsize, column["rows"]
        planes = np.frombuffer(content, np.uint8, rows * size, column["offset"]).reshape(size, rows)
        values = np.ascontiguousarray(planes.T).view(kind)[:, 0]
        form, of = column["form"], tables.setdefault(column["table"], {})
        if form == "text":
            of[column["name"]] = [column["texts"][index] for index in values]
        else:
            of[column["name"]] = np.cumsum(values) if form == "time" else values
    return tables, header["about"]
