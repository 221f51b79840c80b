"""
Sealing what the database must not be able to read: AES-256-GCM under a key made of the server's
secret. A sealed text belongs to its name: moved to another row it cannot be opened.
"""

import base64
import secrets
from typing import Any

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

VERSION = b"\x01"
NONCE_BYTES = 12
PURPOSE = b"liveserver addresses 1"


class Unreadable(Exception):
    """The text was sealed under another secret, for another name, or was changed."""


class Sealer:
    """Seals and opens. Another secret means that what was sealed before is gone."""

    def __init__(self, secret: str) -> None:
        key = HKDF(algorithm=SHA256(), length=32, salt=None, info=PURPOSE).derive(secret.encode())
        self._cipher = AESGCM(key)

    def seal(self, name: str, value: dict[str, Any]) -> str:
        """A text that only this secret opens, and only under this name."""
        nonce = secrets.token_bytes(NONCE_BYTES)
        sealed = self._cipher.encrypt(nonce, msgspec.json.encode(value), name.encode())
        return base64.b64encode(VERSION + nonce + sealed).decode()

    def open(self, name: str, sealed: str) -> dict[str, Any]:
        """What was sealed. Raises `Unreadable`."""
        try:
            raw = base64.b64decode(sealed, validate=True)
            if raw[:1] != VERSION:
                raise Unreadable("sealed by another version")
            nonce, body = raw[1 : 1 + NONCE_BYTES], raw[1 + NONCE_BYTES :]
            opened: dict[str, Any] = msgspec.json.decode(
                self._cipher.decrypt(nonce, body, name.encode())
            )
            return opened
        except (InvalidTag, ValueError) as error:
            raise Unreadable("sealed under another secret, or changed") from error
