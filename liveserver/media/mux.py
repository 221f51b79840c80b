"""
One UDP port for all peers. A datagram belongs to the peer whose check came from its address; a
check to the peer whose name it carries. Everything else is nobody's and gets no answer.
"""

import asyncio
import logging
import socket
from collections.abc import Callable

from liveserver.media import stun
from liveserver.media.session import ADDRESSES_MAX, Session
from liveserver.media.srtp import Address

log = logging.getLogger(__name__)

READ_AT_ONCE = 128  # datagrams; then the loop has its turn
DATAGRAM_BYTES = 2_048  # longer ones are no media
BUFFER_BYTES = 4 * 1024 * 1024  # asked of the kernel, which may give less (net.core.rmem_max)


class Mux:
    """The sockets and who is behind which address."""

    def __init__(self) -> None:
        self.port = 0
        self.sockets: list[socket.socket] = []
        self.strangers = 0  # datagrams of nobody
        self._by_address: dict[Address, Session] = {}
        self._by_ufrag: dict[str, Session] = {}

    def open(self, hosts: list[str], port: int) -> None:
        """Bind the same port on each host (one for each family). Raises OSError."""
        loop = asyncio.get_running_loop()
        for host in hosts:
            family = socket.AF_INET6 if ":" in host else socket.AF_INET
            sock = socket.socket(family, socket.SOCK_DGRAM)
            try:
                if family == socket.AF_INET6:
                    sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
                for option in (socket.SO_RCVBUF, socket.SO_SNDBUF):
                    sock.setsockopt(socket.SOL_SOCKET, option, BUFFER_BYTES)
                sock.bind((host, self.port or port))
            except BaseException:
                sock.close()
                self.close()
                raise
            sock.setblocking(False)
            self.port = sock.getsockname()[1]
            self.sockets.append(sock)
            loop.add_reader(sock.fileno(), self._read, sock)

    def close(self) -> None:
        for sock in self.sockets:
            asyncio.get_running_loop().remove_reader(sock.fileno())
            sock.close()
        self.sockets.clear()

    def add(self, session: Session) -> None:
        """Let checks find the session; again after an ICE restart."""
        for ufrag in session.ufrags:
            self._by_ufrag[ufrag] = session

    def remove(self, session: Session) -> None:
        for ufrag in session.ufrags:
            self._by_ufrag.pop(ufrag, None)
        for address in session.addresses:
            if self._by_address.get(address) is session:
                del self._by_address[address]

    def forget_older(self, session: Session) -> None:
        """Before an ICE restart: of two older sets of credentials only the newer stays."""
        for ufrag in session.ufrags[:-1]:
            self._by_ufrag.pop(ufrag, None)

    def _read(self, sock: socket.socket) -> None:
        by_address = self._by_address
        for _ in range(READ_AT_ONCE):
            try:
                data, peer = sock.recvfrom(DATAGRAM_BYTES)
            except (BlockingIOError, InterruptedError):
                return
            except OSError as error:  # an ICMP answer to something sent before
                log.debug("reading media: %s", error)
                continue
            if not data:
                continue
            if data[0] < 4:
                self._check(data, sock, peer)
                continue
            session = by_address.get(peer)
            if session is None:
                self.strangers += 1
            else:
                self._hand_on(session.on_datagram, data)

    def _hand_on(self, take: Callable[[bytes], None], data: bytes) -> None:
        """One peer's packet must never end the reading for all."""
        try:
            take(data)
        except Exception:
            log.exception("a media packet was not understood")

    def _check(self, data: bytes, sock: socket.socket, peer: Address) -> None:
        check = stun.parse(data)
        session = self._by_ufrag.get(check.ufrag) if check else None
        if check is None or session is None or session.over:
            self.strangers += 1
            return
        if peer not in session.addresses and len(session.addresses) >= ADDRESSES_MAX:
            old = next(one for one in session.addresses if one != session.to)
            session.addresses.remove(old)
            self._by_address.pop(old, None)
        answer = session.on_check(check, sock, peer)
        if answer is None:
            self.strangers += 1
            return
        self._by_address[peer] = session
        try:
            sock.sendto(answer, peer)
        except OSError as error:
            log.debug("a check could not be answered: %s", error)
