"""Host's side of the streaming interface for MicroPython and CircuitPython: copy this one file to the controller.

It needs only struct and binascii. docs/interface.md, "Streaming interface", is the specification. Its tables are
generated from the flight software, and the tests run it against the Pi's side.

    link = Link(session=boot_count)                 # a different number from 1 to 65535 at each start
    upload = Upload(link, "sense.bin", size, crc, read, transfer=1)
    while True:
        for event in link.feed(uart.read(256) or b"", now_ms):
            upload.take(event, now_ms)              # and other uses of events
        upload.pump(now_ms)
        portion = link.next_portion(now_ms)         # when the port has sent the previous one
        if portion:
            uart.write(portion)

Events are tuples: ("connected", software), ("sentence", kind, number, body, is_late), ("acknowledged", ticket),
("lost", ticket, kind), ("line down",), ("incompatible", version_min, version_max). Times are milliseconds that never
decrease. Files need not be in memory: chunks are read through `read(offset, count)`, again if necessary. For the
status, call send("STRQ", body("STRQ", 0), now_ms); `decode_status` decodes the body of the STAT sentence that follows.
"""

# MicroPython has neither annotations of variables nor casts.
# mypy: disable-error-code="var-annotated,misc,type-arg,no-any-return"

import binascii
import struct

VERSION = 1
LINE_MAX = 4095
CHUNK = 762
CHUNK_MIN = 93
TIMEOUT_MS = 500
TIMEOUT_MAX_MS = 2000
TRIES_MAX = 10
LIFE_MS = 5000
SILENCE_MS = 10000
HELLO_MS = 500
HELLO_MAX_MS = 5000
QUEUE_MAX = 32
PORTION = 48
NESTING = 32
SESSION_STEP = 257
HELD = float("inf")  # time of the next retry of an ordered sentence that the Pi holds until an earlier one arrives

# Tables: made by scripts/generate/docs.py.
# Delivery (r ordered, i unordered) and fields of the host's sentences; bytes after the fields are passed as `tail`.
HOST_SENTENCES = {
    "NAKN": ("r", "<HB"),
    "LOST": ("r", "<H"),
    "PING": ("i", "<I"),
    "PONG": ("i", "<I"),
    "SENS": ("i", "<"),
    "GPSS": ("i", "<"),
    "GPSR": ("i", "<"),
    "RANG": ("i", "<"),
    "PGPS": ("i", "<B"),
    "PRNG": ("i", "<B"),
    "TIME": ("i", "<IH"),
    "STRQ": ("i", "<B"),
    "UPOP": ("r", "<HII"),
    "UPCH": ("r", "<HI"),
    "UPCL": ("r", "<H"),
    "DNLS": ("r", "<H"),
    "DNOP": ("r", "<HI"),
    "DNCL": ("r", "<H"),
    "PGET": ("r", "<"),
    "PSET": ("r", "<"),
    "PLST": ("r", "<H"),
    "STOP": ("i", "<"),
}
# Fields of the Pi's sentences; `fields` returns them and the bytes after them.
PI_SENTENCES = {
    "NAKN": "<HB",
    "LOST": "<H",
    "PING": "<I",
    "PONG": "<I",
    "STAT": "<",
    "INFO": "<",
    "EVNT": "<B",
    "UPST": "<HBI",
    "DNLE": "<HHI",
    "DNST": "<HIII",
    "DNCH": "<HI",
    "PVAL": "<HHB",
}
HELLO = "<BBBIHBHH"
ACKNOWLEDGEMENT = "<HIHI"

# Offsets of the most important fields of a status record. Later versions only append fields.
STATUS = {
    "version": (4, "B"),
    "phase": (5, "B"),
    "size": (6, "H"),
    "generation": (8, "I"),
    "run_number": (12, "I"),
    "uptime_s": (16, "I"),
    "spacecraft_time_s": (20, "I"),
    "gps_week": (24, "H"),
    "gps_tow_ms": (26, "I"),
    "orbit_mode": (30, "B"),
    "orbit_gps_week": (31, "H"),
    "orbit_gps_tow_ms": (33, "I"),
    "orbit_age_s": (37, "f"),
    "position_ecef_m": (41, "3d"),
    "velocity_ecef_mps": (65, "3d"),
    "position_sigma_m": (89, "3f"),
    "velocity_sigma_mps": (101, "3f"),
    "attitude_mode": (121, "B"),
    "quaternion": (132, "4f"),
    "rate_body_rad_s": (148, "3f"),
    "partner0_id": (213, "B"),
    "partner0_rtn_m": (221, "3f"),
    "partner1_id": (285, "B"),
    "partner1_rtn_m": (293, "3f"),
    "partner2_id": (357, "B"),
    "partner2_rtn_m": (365, "3f"),
    "events": (477, "I"),
    "damaged_bytes": (498, "I"),
    "fixes_received": (520, "I"),
    "fixes_accepted": (524, "I"),
}
# End of the tables.


# Packets with the bytes of sense.bin and rng#####.bin


def sensor_packet(time_s: int, mag: "list[int]", hall: int, gyro: "list[int]", lux: "list[int]") -> bytes:
    """Return the 30 bytes for a sense record; mag, hall, gyro: raw words of the sensors, lux: words of `lux_word`."""
    return struct.pack(">I", time_s) + struct.pack("<7h", *mag, hall, *gyro) + struct.pack(">6H", *lux)


def lux_word(lux: float) -> int:
    """Return the result register of an OPT3001 for an illuminance, lx."""
    counts = lux / 0.01
    exponent = 0
    while exponent < 11 and counts > (0xFFF << exponent) + 1e-6:
        exponent += 1
    return exponent << 12 | min(int(counts / (1 << exponent) + 1e-6), 0xFFF)


def gps_packet(time_s: int, log: bytes) -> bytes:
    """Return the 99 bytes for a sense record from a binary BESTXYZ log with its header."""
    return struct.pack(">I", time_s) + log[13:14] + log[14:20] + log[28:29] + _solution(log, 1)


def range_gps_packet(log: bytes) -> bytes:
    """Return the 102 bytes for a range file from a binary BESTXYZ log with its header."""
    return b"\xaa\x44\x12" + log[14:20] + log[28:29] + _solution(log, 4) + b"\r\n"


def _solution(log: bytes, status_size: int) -> bytes:
    """Copy the solution without conversion: floats of a controller may have 32 bits, positions have 64."""
    return log[36:72] + log[72 : 72 + status_size] + log[80:116] + log[120:134]


def range_packet(partner_id: int, rssi: int, time_s: int, frequency_error: bytes, distance: bytes) -> bytes:
    """Return the 12 bytes for a range file; frequency error and distance are three registers of the radio each."""
    return struct.pack(">BBI", partner_id, rssi, time_s) + frequency_error + distance


# Sentences


def body(kind: str, *values: int, tail: bytes = b"") -> bytes:
    """Return the body of a host sentence: the packed values, then `tail`."""
    return struct.pack(HOST_SENTENCES[kind][1], *values) + tail


def fields(kind: str, octets: bytes) -> "tuple[tuple[int, ...], bytes]":
    """Return the fields of a sentence of the Pi and the bytes after them; raise ValueError if the body is too short."""
    size = struct.calcsize(PI_SENTENCES[kind])
    if len(octets) < size:
        raise ValueError(kind + ": the body is shorter than its fields; ignore the sentence")
    return struct.unpack(PI_SENTENCES[kind], octets[:size]), octets[size:]


def encode(kind: str, session: int, letter: str, number: int, octets: bytes) -> bytes:
    """Encode a sentence to the Pi."""
    text = f">{kind},{session:04X},{letter}{number:04X},".encode() + binascii.b2a_base64(octets)[:-1] + b"*"
    return text + b"%08X\r\n" % (binascii.crc32(text) & 0xFFFFFFFF)


def decode(piece: bytes) -> "tuple[str, str, int, str, int, bytes] | None":
    """Return direction, type, session, delivery letter, number and body of a valid sentence, or None."""
    star = piece.find(b"*")
    try:
        # As text: int() would also accept a digit that was damaged into a space.
        if piece[star + 1 : star + 9] != b"%08X" % (binascii.crc32(piece[: star + 1]) & 0xFFFFFFFF):
            return None
        kind, session, number, octets = piece[1:star].split(b",")
        text = number.decode()
        return chr(piece[0]), kind.decode(), int(session, 16), text[0], int(text[1:], 16), binascii.a2b_base64(octets)
    except (ValueError, IndexError):
        return None


class Parser:
    """Parser of sentences between prompts, echoes and damaged bytes."""

    def __init__(self) -> None:
        self._rest = b""
        self._interrupted = b""  # beginning of a sentence that another sentence interrupted

    def feed(self, data: bytes) -> "list[tuple[str, str, int, str, int, bytes]]":
        """Parse received bytes; return the sentences that are now complete."""
        found = []
        rest = self._rest + data
        end = _piece_end(rest)
        while end >= 0:
            piece, rest = rest[:end], rest[end:]
            self._take(bytes([octet for octet in piece if 32 <= octet < 127]), rest[:1] in (b"<", b">"), found)
            end = _piece_end(rest)
        self._rest = rest if len(rest) <= LINE_MAX else b""
        return found

    def _take(self, piece: bytes, is_interrupted: bool, found: "list") -> None:  # noqa: FBT001 - private
        """Process the bytes between two line ends or beginnings; keep them if another sentence interrupts them."""
        if not piece:
            return
        begins = piece[:1] in (b"<", b">")
        if not begins:
            piece = self._interrupted + piece
        sentence = decode(piece)
        if sentence:
            found.append(sentence)
        if not begins or (is_interrupted and not sentence):
            self._interrupted = b"" if sentence or not is_interrupted or len(piece) > LINE_MAX else piece


def _piece_end(data: bytes) -> int:
    """Return the offset of the next line end or beginning of a sentence after the first byte, or -1."""
    ends = [at for at in (data.find(mark, 1) for mark in (b"\r", b"\n", b"<", b">")) if at > 0]
    return min(ends) if ends else -1


def decode_status(record: bytes) -> "dict[str, tuple[float, ...] | float]":
    """Return the fields of STATUS by name; raise ValueError if the record is damaged."""
    if record[:4] != b"PGST" or len(record) < 12 or struct.unpack("<H", record[6:8])[0] != len(record):
        raise ValueError("status record: wrong marker or length; request the status again")
    if struct.unpack("<I", record[-4:])[0] != binascii.crc32(record[:-4]) & 0xFFFFFFFF:
        raise ValueError("status record: wrong CRC-32; request the status again")
    found = {}
    for name, (offset, code) in STATUS.items():
        values = struct.unpack_from("<" + code, record, offset)
        found[name] = values if len(values) > 1 else values[0]
    return found


# Link


class Link:
    """Sessions, acknowledgements and retries like the Pi's side, with a receive window of one."""

    def __init__(self, session: int, software: str = "controller", window: int = 8) -> None:
        self.ready = False
        self._session = session
        self._software = software.encode()
        self._window = window
        self._parser = Parser()
        self._peer = 0
        self._unknown = 0
        self._peer_window = 1
        self._queued = {"r": [], "i": []}  # items: [ticket, kind, body, number, tries, order, due_ms, end_ms]
        self._in_flight = {"r": [], "i": []}
        self._next = {"r": 1, "i": 1}
        self._line = b""  # unsent part of a line that is sent in portions
        self._line_item = None
        self._nests = False
        self._tickets = 0
        self._order = 0
        self._events = []
        self._next_ordered = 1
        self._newest = 0
        self._earlier = 0xFFFFFFFF
        self._ack_due = False
        self._hello_due_ms = 0
        self._hello_wait_ms = HELLO_MS
        self._heard_ms = 0

    def room(self) -> int:
        """Return the number of ordered sentences that `send` still accepts."""
        return QUEUE_MAX - len(self._queued["r"])

    def send(self, kind: str, octets: bytes, now_ms: int) -> int:
        """Queue a sentence and return its ticket, which its acknowledged or lost event will carry."""
        letter = HOST_SENTENCES[kind][0]
        queue = self._queued[letter]
        if len(queue) >= QUEUE_MAX:
            if letter == "r":
                raise ValueError("the send queue is full; send when room() is positive")
            oldest = queue.pop(0)
            self._events.append(("lost", oldest[0], oldest[1]))
        self._tickets += 1
        queue.append([self._tickets, kind, octets, 0, 0, 0, 0, now_ms + LIFE_MS])
        return self._tickets

    def feed(self, data: bytes, now_ms: int) -> "list[tuple]":
        """Process bytes from the port and return the events."""
        for sentence in self._parser.feed(data):
            if sentence[0] == "<":
                self._receive(sentence, now_ms)
        events, self._events = self._events, []
        return events

    def next_portion(self, now_ms: int) -> "bytes | None":
        """Return the bytes to send now; None if there is nothing to send. Unordered sentences are nested in chunks."""
        if not self._line:
            line = self.next_line(now_ms)
            if self._line_item is None or not self._nests:
                return line
            self._line = line
        else:
            self._expire(now_ms)
            if not self._line:
                return self.next_line(now_ms)
            item = self._take("i", 32, now_ms) if self.ready else None
            self._mark_sent(self._line_item, now_ms)  # type: ignore[arg-type]
            if item:
                return self._line_of("i", item)
        end = PORTION if len(self._line) >= PORTION * 3 // 2 else len(self._line)
        portion, self._line = self._line[:end], self._line[end:]
        return portion

    def next_line(self, now_ms: int) -> "bytes | None":
        """Return the line to send now; None if there is nothing to send."""
        self._line_item = None
        self._expire(now_ms)
        if self._unknown or now_ms >= self._hello_due_ms:
            return self._hello(now_ms)
        if not self.ready:
            return None
        if self._ack_due:
            self._ack_due = False
            octets = struct.pack(ACKNOWLEDGEMENT, self._next_ordered, 0, self._newest, self._earlier)
            return encode("ACKN", self._session, "c", 0, octets)
        for letter, window in (("i", 32), ("r", min(self._window, self._peer_window))):
            item = self._take(letter, window, now_ms)
            if item:
                self._line_item = item if letter == "r" else None  # type: ignore[assignment]
                return self._line_of(letter, item)
        return None

    def _line_of(self, letter: str, item: list) -> bytes:
        return encode(item[1], self._session, letter.upper() if item[4] > 1 else letter, item[3], item[2])

    def _take(self, letter: str, window: int, now_ms: int) -> "list | None":
        """Return the next item: a retry that is due, or a new item if the window allows."""
        flying, queue = self._in_flight[letter], self._queued[letter]
        item = None
        for candidate in flying:
            if now_ms >= candidate[6]:
                item = candidate
                break
        if item is None:
            if not queue or (flying and (self._next[letter] - flying[0][3]) % 65536 >= window):
                return None
            item = queue.pop(0)
            item[3] = self._next[letter]
            self._next[letter] = (item[3] + 1) % 65536
            flying.append(item)
        item[4] += 1
        self._mark_sent(item, now_ms)
        return item

    def _mark_sent(self, item: list, now_ms: int) -> None:
        """Record a transmission and schedule the retry; each portion of a line restarts its timeout."""
        self._order += 1
        item[5] = self._order
        item[6] = now_ms + min(TIMEOUT_MS << (item[4] - 1), TIMEOUT_MAX_MS)

    def _expire(self, now_ms: int) -> None:
        """Report expired sentences; end the session after too many tries."""
        for items in (self._in_flight["i"], self._queued["i"]):
            for item in [item for item in items if now_ms >= item[7]]:
                items.remove(item)
                self._report_lost(item, now_ms)
        if [item for item in self._in_flight["r"] if item[4] >= TRIES_MAX and now_ms >= item[6]]:
            self._abandon(now_ms)
            self._events.append(("line down",))
            self._session = _following(_following(self._session))
            self._peer = self._unknown = 0
            self.ready = False
            self._hello_due_ms = 0

    def _report_lost(self, item: list, now_ms: int) -> None:
        """Report a sentence as lost; the Pi learns of unordered ones that it may have received."""
        self._events.append(("lost", item[0], item[1]))
        if item[4] and HOST_SENTENCES[item[1]][0] == "i" and self.room():
            self.send("LOST", body("LOST", item[3], tail=item[1].encode()), now_ms)

    def _abandon(self, now_ms: int) -> None:
        """Report the sentences for the current session of the Pi as lost; unsent unordered sentences stay queued."""
        self._line = b""
        self._next = {"r": 1, "i": 1}
        ended = self._in_flight["r"] + self._queued["r"] + self._in_flight["i"]
        self._in_flight["r"], self._queued["r"], self._in_flight["i"] = [], [], []
        for item in ended:
            if item[1] == "LOST":  # the Pi may not have received it
                self.send(item[1], item[2], now_ms)
            else:
                self._report_lost(item, now_ms)

    def _hello(self, now_ms: int) -> bytes:
        if self._unknown:
            values = (VERSION, VERSION, 1, NESTING, self._unknown, 0, 1, 1)
            self._unknown = 0
            octets = struct.pack(HELLO, *values) + self._software
            return encode("HELO", _following(self._session), "c", 0, octets)
        if self.ready:
            self._hello_due_ms = max(self._heard_ms, now_ms) + SILENCE_MS
        else:
            self._hello_due_ms = now_ms + self._hello_wait_ms
            self._hello_wait_ms = min(2 * self._hello_wait_ms, HELLO_MAX_MS)
        first = {}
        for letter in "ri":
            flying = self._in_flight[letter]
            first[letter] = flying[0][3] if flying else self._next[letter]
        values = (VERSION, VERSION, 1, NESTING, self._peer, int(self.ready), first["r"], first["i"])
        return encode("HELO", self._session, "c", 0, struct.pack(HELLO, *values) + self._software)

    def _receive(self, sentence: tuple, now_ms: int) -> None:
        _, kind, session, letter, number, octets = sentence
        self._heard_ms = now_ms
        if kind == "HELO":
            if len(octets) >= struct.calcsize(HELLO):
                self._on_hello(session, octets, now_ms)
            return
        if session != self._peer or not self.ready:
            self._hello_due_ms = min(self._hello_due_ms, now_ms + HELLO_MS // 2)
            return
        self._hello_due_ms = now_ms + SILENCE_MS
        if kind == "ACKN":
            if len(octets) == struct.calcsize(ACKNOWLEDGEMENT):
                self._on_acknowledgement(struct.unpack(ACKNOWLEDGEMENT, octets), now_ms)
        elif letter in "rR":
            self._ack_due = True
            if number == self._next_ordered:
                self._next_ordered = (number + 1) % 65536
                self._events.append(("sentence", kind, number, octets, False))
        elif letter in "iI":
            self._ack_due = True
            self._on_arrival(kind, number, octets)

    def _on_arrival(self, kind: str, number: int, octets: bytes) -> None:
        """Deliver an unordered sentence unless it is a duplicate."""
        distance = (number - self._newest + 32768) % 65536 - 32768
        if distance > 0:
            moved = (self._earlier << 1 | 1) << (distance - 1) if distance <= 32 else 0
            self._earlier, self._newest = moved & 0xFFFFFFFF, number
            self._events.append(("sentence", kind, number, octets, False))
        elif -32 <= distance < 0 and not self._earlier >> (-distance - 1) & 1:
            self._earlier |= 1 << (-distance - 1)
            self._events.append(("sentence", kind, number, octets, True))

    def _on_hello(self, session: int, octets: bytes, now_ms: int) -> None:
        size = struct.calcsize(HELLO)
        low, high, window, abilities, heard, ready, next_ordered, next_unordered = struct.unpack(HELLO, octets[:size])
        if not low <= VERSION <= high:
            self._events.append(("incompatible", low, high))
            return
        if self.ready and session == self._peer and (heard == self._session or not ready):
            self._ack_due = self._ack_due or bool(ready)
            self._hello_due_ms = self._heard_ms + SILENCE_MS if ready else 0
            return
        if self.ready and heard != _following(self._session):
            self._unknown = session  # perhaps of a restarted Pi; the answer offers the following session
            return
        if self.ready:
            self._abandon(now_ms)
            self._session, self._unknown = heard, 0
        self._peer = session
        self._next_ordered = next_ordered
        self._newest = (next_unordered - 1) % 65536
        self._earlier = 0xFFFFFFFF
        self._peer_window = max(window, 1)
        self._nests = bool(abilities & NESTING)
        self.ready = heard == self._session
        if self.ready:
            self._hello_wait_ms = HELLO_MS
            self._events.append(("connected", octets[size:].decode()))
        self._ack_due = bool(self.ready and ready)
        self._hello_due_ms = self._heard_ms + SILENCE_MS if self._ack_due else 0

    def _on_acknowledgement(self, acknowledgement: "tuple[int, int, int, int]", now_ms: int) -> None:
        next_ordered, later, newest, earlier = acknowledgement
        latest = 0
        for letter in "ri":
            flying = self._in_flight[letter]
            for item in list(flying):
                if letter == "r":
                    ahead = (item[3] - next_ordered + 32768) % 65536 - 32768
                    is_delivered = ahead < 0
                    arrived = is_delivered or (0 < ahead <= 32 and later >> (ahead - 1) & 1)
                else:
                    behind = (newest - item[3] + 32768) % 65536 - 32768
                    arrived = behind == 0 or (0 < behind <= 32 and earlier >> (behind - 1) & 1)
                    is_delivered = arrived
                if arrived and item[6] != HELD:
                    item[6] = HELD
                    if item[4] == 1:
                        latest = max(latest, item[5])
                if is_delivered:
                    flying.remove(item)
                    self._events.append(("acknowledged", item[0]))
        for items in self._in_flight.values():
            for item in items:
                if item[5] < latest and item[6] != HELD:  # sent before an item that has arrived, so it is lost
                    item[6] = now_ms


def _following(session: int) -> int:
    """Return the number of this end's next session, which a counter of starts does not reach at the next start."""
    return (session + SESSION_STEP - 1) % 65535 + 1


class Upload:
    """Upload of one file, resumed after any interruption. The final `state` is "done" or "refused"."""

    def __init__(self, link: Link, name: str, size: int, crc: int, read: object, *, transfer: int) -> None:
        self.state = "waiting"
        self.cause = ""
        self._link = link
        self._open = body("UPOP", transfer, size, crc, tail=name.encode())
        self._size = size
        self._read = read
        self._transfer = transfer
        self._offset = 0
        self._chunk = CHUNK

    def take(self, event: tuple, now_ms: int) -> None:
        """Process an event of the link."""
        if self.state in ("done", "refused"):
            return
        if event[0] == "connected":
            self._begin(now_ms)
        elif event[0] == "line down":
            self.state = "waiting"
            self._chunk = max(self._chunk // 2, CHUNK_MIN)  # short chunks pass a bad line more often
        elif event[0] == "sentence" and event[1] == "UPST":
            self._on_state(event[3], now_ms)
        elif event[0] == "sentence" and event[1] == "NAKN" and event[3][3:5] == b"UP":
            if event[3][2] == 4:  # chunk at a wrong offset: open again, once for all chunks in flight
                if self.state != "opening":
                    self._begin(now_ms)
            else:
                self.state, self.cause = "refused", event[3][3:].decode()

    def pump(self, now_ms: int) -> None:
        """Queue chunks while the link has room for them."""
        if self.state == "waiting" and self._link.ready:
            self._begin(now_ms)
        while self.state == "sending" and self._link.ready and self._link.room() > QUEUE_MAX - 4:
            if self._offset >= self._size:
                self._link.send("UPCL", body("UPCL", self._transfer), now_ms)
                self.state = "closing"
                return
            data = self._read(self._offset, min(self._chunk, self._size - self._offset))  # type: ignore[operator]
            self._link.send("UPCH", body("UPCH", self._transfer, self._offset, tail=data), now_ms)
            self._offset += len(data)

    def _begin(self, now_ms: int) -> None:
        self.state = "opening"
        self._link.send("UPOP", self._open, now_ms)

    def _on_state(self, octets: bytes, now_ms: int) -> None:
        (transfer, state, offset), _ = fields("UPST", octets)
        if transfer != self._transfer or self.state == "sending":
            return
        if state == 0:
            self.state, self._offset = "sending", offset
        elif state == 1:
            self.state = "done"
        else:
            self._begin(now_ms)
