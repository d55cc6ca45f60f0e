"""Connections of the server: their number, and the time for which a client may keep one waiting.

uvicorn limits neither the time of a TLS handshake, of the headers and of a body, nor the number of open connections.
Without these limits, a few hundred idle clients use up the descriptors of the process.
"""

import asyncio
import contextlib
import errno
import logging
import resource
import socket
from collections import Counter
from typing import Final

import h11
import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from pygnc_station.server_settings import Limits
from pygnc_system.service_notifier import ServiceNotifier

REPORT_S: Final = 60.0
_TICK_S: Final = 1.0
_OTHER_DESCRIPTORS: Final = 96
"""Descriptors for the store, batches and logs, which connections must leave free."""
_MIN_CONNECTIONS: Final = 8
_RETRY_S: Final = 0.2
_NO_HEADERS: Final = "without a complete request in time"
_TOO_SLOW: Final = "too slow"
_TOO_MANY: Final = "in favour of new ones, because too many were open"
_log: Final = logging.getLogger(__name__)


class LimitedServer(uvicorn.Server):
    """uvicorn's server with the limits of `[serve.limits]`.

    While the maximum number of connections is open, a new connection replaces the one that waits for its client's
    headers longest, or else the one whose body arrives most slowly. A flood of idle connections therefore keeps no
    genuine request out. An upload whose connection was closed continues at its offset.

    Args:
        config: configuration of uvicorn.
        limits: limits of requests.
        notifier: reports the start and the end, and that the event loop is running.
    """

    def __init__(self, config: uvicorn.Config, limits: Limits, notifier: ServiceNotifier) -> None:
        super().__init__(config)
        self._notifier = notifier
        descriptors = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
        free = max(_MIN_CONNECTIONS, descriptors - _OTHER_DESCRIPTORS)
        self._max_connections = min(limits.connections, free)
        self._limits = limits
        self._accepting: list[asyncio.Task[None]] = []
        self._opening: dict[asyncio.Task[None], tuple[float, socket.socket]] = {}
        self._closed: Counter[str] = Counter()
        self._next_report_s = 0.0

    def stop(self) -> None:
        """End `run`; may be called from a signal handler."""
        self.should_exit = True

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start to accept connections on the listening sockets."""
        await super().startup(sockets=[])
        for listener in sockets or []:
            listener.settimeout(0)
            self._accepting.append(asyncio.create_task(self._accept(listener)))
        self._notifier.ready()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Stop accepting connections, and wait for the requests that are being processed."""
        self._notifier.stopping()
        for task in self._accepting:
            task.cancel()
        await asyncio.gather(*self._accepting, return_exceptions=True)
        for _, accepted in self._opening.values():
            _shut_down(accepted)
        await super().shutdown(sockets)
        self._report()

    async def on_tick(self, counter: int) -> bool:
        """Report closed connections once per minute, and that the event loop is running."""
        self._notifier.feed()
        now_s = asyncio.get_running_loop().time()
        if self._closed and now_s >= self._next_report_s:
            self._next_report_s = now_s + REPORT_S
            self._report()
        return await super().on_tick(counter)

    def note_closed(self, reason: str) -> None:
        """Count a connection that was closed because of its client."""
        self._closed[reason] += 1

    def _report(self) -> None:
        for reason, count in self._closed.items():
            _log.warning("%d connections %s were closed", count, reason)
        self._closed.clear()

    async def _accept(self, listener: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        while True:
            try:
                accepted, _ = await loop.sock_accept(listener)
            except OSError as error:
                if error.errno in {errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM}:
                    _log.warning("a connection cannot be accepted: %s", error.strerror)
                    self._close_one()
                    await asyncio.sleep(_RETRY_S)
                continue  # the client has closed it already
            if self._count() >= self._max_connections and not self._close_one():
                self.note_closed(_TOO_MANY)
                accepted.close()
            else:
                task = loop.create_task(self._open(accepted))
                self._opening[task] = (loop.time(), accepted)
                task.add_done_callback(lambda done: self._opening.pop(done, None))
            await asyncio.sleep(0)  # accepting may not suspend, and closed connections need a turn

    async def _open(self, accepted: socket.socket) -> None:
        """Create the protocol of a connection; with TLS, after the handshake."""
        # asyncio does so only for sockets with a protocol number. Without it, the body of a response waits for the
        # client's delayed acknowledgement of its headers, 40 ms.
        with contextlib.suppress(OSError):  # the client has disconnected
            accepted.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        times = {"ssl_handshake_timeout": self._limits.header_s, "ssl_shutdown_timeout": 5.0}
        try:
            await asyncio.get_running_loop().connect_accepted_socket(
                lambda: LimitedProtocol(self, self._limits),
                accepted,
                ssl=self.config.ssl,
                **(times if self.config.ssl else {}),
            )
        except ConnectionAbortedError:
            self.note_closed(_NO_HEADERS)
        except OSError:  # includes SSLError: the client speaks no TLS, or has disconnected
            pass

    def _count(self) -> int:
        return len(self._opening) + sum(not item.is_aborted for item in self._protocols())

    def _protocols(self) -> list["LimitedProtocol"]:
        return [item for item in self.server_state.connections if isinstance(item, LimitedProtocol)]

    def _close_one(self) -> bool:
        """Close the connection with the least progress; return False if all of them wait for this server."""
        found = min(
            (item for item in self._protocols() if not item.is_aborted and item.awaits_client),
            key=LimitedProtocol.progress,
            default=None,
        )
        opening = min(self._opening.values(), key=lambda item: item[0], default=None)
        if opening and (found is None or (False, opening[0]) < found.progress()):
            _shut_down(opening[1])  # asyncio then ends the handshake
            self._opening = {task: item for task, item in self._opening.items() if item is not opening}
        elif found:
            found.abort()
        else:
            return False
        self.note_closed(_TOO_MANY)
        return True


def _shut_down(accepted: socket.socket) -> None:
    with contextlib.suppress(OSError):  # the client has closed it already
        accepted.shutdown(socket.SHUT_RDWR)


class LimitedProtocol(H11Protocol):
    """uvicorn's HTTP protocol with time-outs while the client has to send or to receive.

    A client has `header_s` for the headers of a request. After that, it has to transfer `slowest_bytes_s` on average
    over each `transfer_s`. Times in which this server works do not count.
    """

    def __init__(self, server: LimitedServer, limits: Limits) -> None:
        super().__init__(server.config, server.server_state, server.lifespan.state)
        self.is_aborted = False
        self._limited_server = server
        self._limits = limits
        self._since_s = self._began_s = 0.0  # start of the time-out, and of the request
        self._received_bytes = 0  # since _since_s
        self._total_bytes = 0  # since _began_s
        self._unsent_bytes = 0  # at _since_s

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override] # as uvicorn declares it
        """Begin the time-out of the headers."""
        super().connection_made(transport)
        self._timer = self.loop.call_later(_TICK_S, self._check)
        self._began_s = self.loop.time()
        self._begin()

    def connection_lost(self, exc: Exception | None) -> None:
        """End the time-outs."""
        self._timer.cancel()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Count the received bytes; a new request begins new time-outs."""
        before = self.conn.their_state
        super().data_received(data)
        self._received_bytes += len(data)
        self._total_bytes += len(data)
        if self.conn.their_state is not before:
            self._begin()

    def on_response_complete(self) -> None:
        """Begin the time-out of the next request."""
        super().on_response_complete()
        self._total_bytes = 0
        self._began_s = self.loop.time()
        self._begin()

    def resume_writing(self) -> None:
        """Begin a new time-out, because the client has received data."""
        super().resume_writing()
        self._begin()

    @property
    def awaits_client(self) -> bool:
        """True if the client has to send or receive before the server can continue."""
        return self._awaits_headers or self._awaits_body or self.transport.get_write_buffer_size() > 0

    def progress(self) -> tuple[bool, float]:
        """Return a key that orders connections, the least useful one first."""
        if self._awaits_headers:
            return False, self._began_s
        return True, self._total_bytes / (self.loop.time() - self._began_s + _TICK_S)

    def abort(self) -> None:
        """Close the connection at once."""
        self.is_aborted = True
        self.transport.abort()

    @property
    def _awaits_headers(self) -> bool:
        return self.conn.their_state is h11.IDLE and not self.transport.get_write_buffer_size()

    @property
    def _awaits_body(self) -> bool:
        return self.conn.their_state is h11.SEND_BODY and not self.flow.read_paused

    def _begin(self) -> None:
        self._since_s = self.loop.time()
        self._received_bytes = 0
        self._unsent_bytes = self.transport.get_write_buffer_size()

    def _check(self) -> None:
        self._timer = self.loop.call_later(_TICK_S, self._check)
        waited_s = self.loop.time() - self._since_s
        unsent_bytes = self.transport.get_write_buffer_size()
        if self.is_aborted:
            return
        if self._awaits_headers:
            if waited_s >= self._limits.header_s:
                self._give_up(_NO_HEADERS)
        elif not (self._awaits_body or unsent_bytes):
            self._begin()
        elif waited_s >= self._limits.transfer_s:
            moved_bytes = self._received_bytes + max(0, self._unsent_bytes - unsent_bytes)
            if moved_bytes < waited_s * self._limits.slowest_bytes_s:
                self._give_up(_TOO_SLOW)
            else:
                self._begin()

    def _give_up(self, reason: str) -> None:
        self._limited_server.note_closed(reason)
        self.abort()
