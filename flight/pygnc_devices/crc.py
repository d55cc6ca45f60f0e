"""Checksums by cyclic redundancy whose bits are reflected: the lowest goes first, as on a serial line."""


class ReflectedCrc:
    """A checksum of up to 16 bits, taken byte by byte from a table; call it with the bytes.

    Source: Williams, A Painless Guide to CRC Error Detection Algorithms, 1993.

    Args:
        polynomial: with its bits reflected.
        seed: what it begins with.
    """

    def __init__(self, polynomial: int, seed: int) -> None:
        self._seed = seed
        table = []
        for octet in range(256):
            crc = octet
            for _ in range(8):
                crc = crc >> 1 ^ (polynomial if crc & 1 else 0)
            table.append(crc)
        self._table = tuple(table)

    def __call__(self, octets: bytes) -> int:
        """Return the checksum."""
        crc, table = self._seed, self._table
        for octet in octets:
            crc = crc >> 8 ^ table[(crc ^ octet) & 0xFF]
        return crc
