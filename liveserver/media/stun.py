"""
The little of STUN (RFC 8489) that an ICE-lite agent needs (RFC 8445): read a binding request, check
whose it is, answer it. Pure.

An answer is sent only to a request with a valid MESSAGE-INTEGRITY, so that nobody can use this port
to multiply traffic towards somebody else.
"""

import binascii
import hmac
import struct
from ipaddress import ip_address
from typing import NamedTuple

COOKIE = 0x2112A442
HEADER_BYTES = 20
FINGERPRINT_XOR = 0x5354554E
INTEGRITY_BYTES = 24  # with the head of the attribute
FINGERPRINT_BYTES = 8

REQUEST, SUCCESS = 0x0001, 0x0101  # of the method Binding
USERNAME, INTEGRITY, XOR_ADDRESS = 0x0006, 0x0008, 0x0020
PRIORITY, USE_CANDIDATE, FINGERPRINT, CONTROLLING = 0x0024, 0x0025, 0x8028, 0x802A


class Binding(NamedTuple):
    """A binding request or its answer, as far as it matters here."""

    kind: int  # REQUEST or SUCCESS
    transaction: bytes
    username: str  # "ours:theirs"
    nominates: bool
    signed: bytes  # what MESSAGE-INTEGRITY covers, its length field already set
    integrity: bytes

    @property
    def ufrag(self) -> str:
        """Our part of the user name."""
        return self.username.partition(":")[0]

    def is_signed_by(self, password: bytes) -> bool:
        return hmac.compare_digest(hmac.digest(password, self.signed, "sha1"), self.integrity)


def parse(data: bytes) -> Binding | None:
    """None for whatever is no well-formed binding message with MESSAGE-INTEGRITY."""
    if len(data) < HEADER_BYTES:
        return None
    kind, length, cookie = struct.unpack_from("!HHI", data)
    whole = length == len(data) - HEADER_BYTES and length % 4 == 0
    if kind not in (REQUEST, SUCCESS) or cookie != COOKIE or not whole:
        return None
    username, nominates, signed, integrity = "", False, b"", b""
    at = HEADER_BYTES
    while at + 4 <= len(data):
        name, size = struct.unpack_from("!HH", data, at)
        value = data[at + 4 : at + 4 + size]
        if len(value) < size:
            return None
        if name == INTEGRITY:
            if size != 20:
                return None
            integrity = value
            covered = struct.pack("!H", at - HEADER_BYTES + INTEGRITY_BYTES)
            signed = data[:2] + covered + data[4:at]
            break  # what follows it is not signed, so it is not believed
        if name == USERNAME:
            username = value.decode("ascii", "replace")
        elif name == USE_CANDIDATE:
            nominates = True
        at += 4 + size + (-size % 4)
    if not integrity:
        return None
    return Binding(kind, data[8:20], username, nominates, signed, integrity)


def answer(request: Binding, address: tuple[str, int], password: bytes) -> bytes:
    """The success response: the address that the request came from, signed."""
    return _signed(SUCCESS, request.transaction, _xor_address(address, request), password)


def request(username: str, password: bytes, transaction: bytes, *, nominate: bool) -> bytes:
    """A binding request of a full, controlling agent."""
    name = username.encode()
    body = struct.pack("!HH", USERNAME, len(name)) + name + bytes(-len(name) % 4)
    body += struct.pack("!HHI", PRIORITY, 4, 0x7E0000FF) + struct.pack("!HHQ", CONTROLLING, 8, 1)
    if nominate:
        body += struct.pack("!HH", USE_CANDIDATE, 0)
    return _signed(REQUEST, transaction, body, password)


def _signed(kind: int, transaction: bytes, body: bytes, password: bytes) -> bytes:
    def head(more: int) -> bytes:
        return struct.pack("!HHI", kind, len(body) + more, COOKIE) + transaction

    digest = hmac.digest(password, head(INTEGRITY_BYTES) + body, "sha1")
    body += struct.pack("!HH", INTEGRITY, 20) + digest
    crc = binascii.crc32(head(FINGERPRINT_BYTES) + body) ^ FINGERPRINT_XOR
    return head(FINGERPRINT_BYTES) + body + struct.pack("!HHI", FINGERPRINT, 4, crc)


def _xor_address(address: tuple[str, int], request: Binding) -> bytes:
    packed = ip_address(address[0]).packed
    pad = struct.pack("!I", COOKIE) + request.transaction
    mixed = bytes(a ^ b for a, b in zip(packed, pad, strict=False))
    family = 1 if len(packed) == 4 else 2
    value = struct.pack("!BBH", 0, family, address[1] ^ (COOKIE >> 16)) + mixed
    return struct.pack("!HH", XOR_ADDRESS, len(value)) + value
