"""
The listening sockets, made by the supervisor and handed to the workers by number.

While a worker is being restarted its socket stays open here, so that connections wait instead of
being refused.
"""

import asyncio
import errno
import ipaddress
import os
import socket
import time

BACKLOG = 4096  # connections waiting for a worker; a show's start brings thousands at once
#: the children of a killed supervisor keep its port for up to 2 s; twice that, rounded up
PORT_PATIENCE = 5.0
PORT_RETRY = 0.1


class PortError(Exception):
    """The address cannot be listened on; the message says why in words."""


async def open_listeners(host: str, port: int, count: int) -> list[socket.socket]:
    """
    `count` listening sockets on one port (0 = any free one).

    The first is bound without SO_REUSEPORT, which fails while anybody else holds the port; only
    then the option is switched on for the others to join. Retries a busy port for PORT_PATIENCE
    seconds. Raises PortError.
    """
    family, address = await _resolve(host, port)
    deadline = time.monotonic() + PORT_PATIENCE
    while True:
        try:
            first = _bind(family, address)
            break
        except OSError as error:
            if error.errno != errno.EADDRINUSE or time.monotonic() > deadline:
                raise PortError(_words(host, port, error)) from None
        await asyncio.sleep(PORT_RETRY)
    listeners = [first]
    if count > 1:
        first.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        address = (address[0], first.getsockname()[1], *address[2:])
        listeners += [_bind(family, address, shared=True) for _ in range(count - 1)]
    for listener in listeners:
        listener.listen(BACKLOG)
        listener.setblocking(False)
    return listeners


def _bind(
    family: socket.AddressFamily, address: tuple[str | int, ...], *, shared: bool = False
) -> socket.socket:
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(
            socket.SOL_SOCKET, socket.SO_REUSEADDR, 1
        )  # old TIME_WAITs do not count
        if shared:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        listener.bind(address)
    except BaseException:
        listener.close()
        raise
    return listener


async def _resolve(host: str, port: int) -> tuple[socket.AddressFamily, tuple[str | int, ...]]:
    """One address to bind; IPv4 first, as `localhost` is both."""
    try:
        found = await asyncio.get_running_loop().getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )
    except OSError as error:
        raise PortError(f"HOST: cannot find the address of {host!r}: {error.strerror}") from None
    found.sort(key=lambda row: row[0] != socket.AF_INET)
    family, _, _, _, address = found[0]
    return family, (str(address[0]), *address[1:])


def _words(host: str, port: int, error: OSError) -> str:
    if error.errno == errno.EADDRINUSE:
        return (
            f"port {port} on {host} is in use by another program; stop it, or choose another PORT"
        )
    if error.errno == errno.EACCES:
        return f"not allowed to listen on port {port}; ports below 1024 need a privilege"
    if error.errno == errno.EADDRNOTAVAIL:
        return f"HOST: {host} is no address of this machine"
    return f"cannot listen on {host} port {port}: {os.strerror(error.errno or 0)}"


def reserve_loopback_port() -> socket.socket:
    """
    A bound socket that never listens: the system gives its port to nobody who asks for any, while
    a child that names the port may listen on it (both set SO_REUSEADDR).
    """
    return _bind(socket.AF_INET, ("127.0.0.1", 0))


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach what listens on `host`."""
    if host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def reachable_host(host: str) -> str:
    """A host to put into a link: an address that means "all" becomes this machine's loopback."""
    if host in ("0.0.0.0", "::"):
        return "127.0.0.1" if host == "0.0.0.0" else "[::1]"
    return f"[{host}]" if ":" in host else host


def lan_addresses() -> list[str]:
    """
    This machine's IPv4 addresses on the local network, the one of the default route first.

    Connecting a UDP socket sends nothing; it only asks the routing table.
    """
    found = []
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))  # TEST-NET-1 (RFC 5737)
            found.append(str(probe.getsockname()[0]))
        except OSError:
            pass
    try:
        rows = socket.getaddrinfo(socket.gethostname(), None, socket.AF_INET)
        found += [str(row[4][0]) for row in rows]
    except OSError:
        pass
    return [it for it in dict.fromkeys(found) if not it.startswith("127.")]
