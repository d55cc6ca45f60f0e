"""Checkpoints of estimators: dataclasses, structs and arrays as MessagePack bytes that restore bit for bit."""

from typing import Any, TypeVar

import msgspec
import numpy as np

_Kind = TypeVar("_Kind")


def encode(value: object) -> bytes:
    """Return `value` as MessagePack bytes; arrays keep type, shape and every bit."""
    return msgspec.msgpack.encode(value, enc_hook=_encode_array)


def decode(data: bytes, kind: type[_Kind]) -> _Kind:
    """Return the value of type `kind` that `encode` wrote; its arrays are new, in C order and writable.

    Raises:
        ValueError: The bytes are damaged or hold another type.
    """
    try:
        return msgspec.msgpack.decode(data, type=kind, dec_hook=_decode_array)
    except msgspec.MsgspecError as error:
        raise ValueError(
            f"checkpoint: {len(data)} bytes are not one of this version: {error}; begin without it"
        ) from error


def _encode_array(value: object) -> object:
    if isinstance(value, np.ndarray):
        return value.dtype.str, value.shape, value.tobytes()
    if isinstance(value, np.generic):
        return value.item()
    raise TypeError(f"checkpoints cannot hold {type(value).__name__}")


def _decode_array(_: type, value: Any) -> Any:  # noqa: ANN401 - the hook's signature
    kind, shape, data = value
    return np.frombuffer(data, np.dtype(kind)).reshape(shape).copy()
