"""HTTPS: the operator's certificate, or a self-made one for a local network."""

import contextlib
import datetime
import ipaddress
import os
import ssl
from pathlib import Path
from typing import TextIO

VALID_DAYS = 397  # the most that Apple's clients accept of a server certificate
RENEW_DAYS = 7  # a show must not run into the end of its certificate


class TlsError(Exception):
    """The certificate cannot be used; the message says why in words."""


def server_context(cert: str, key: str) -> ssl.SSLContext:
    """A context for `loop.create_server`. Raises TlsError when the files do not serve."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["http/1.1"])
    try:
        # an encrypted key would ask at the terminal; nobody sits at a server's
        context.load_cert_chain(cert, key, password=lambda: "")
    except ssl.SSLError as error:
        if error.reason == "KEY_VALUES_MISMATCH":
            raise TlsError("TLS_CERT and TLS_KEY do not belong together") from None
        raise TlsError(f"TLS_CERT and TLS_KEY are no PEM files that serve: {error}") from None
    except (OSError, ValueError) as error:
        raise TlsError(f"TLS_CERT and TLS_KEY cannot be loaded: {error}") from None
    return context


def lan_certificate(data_dir: Path, addresses: list[str]) -> tuple[str, str]:
    """
    Paths of a self-made certificate and key for these addresses, kept in the data directory.

    Made anew when an address is missing or the end is near, else the same: a phone that accepted it
    once is not asked again.
    """
    cert_path, key_path = data_dir / "lan-cert.pem", data_dir / "lan-key.pem"
    if not _still_serves(cert_path, key_path, addresses):
        cert, key = _make(addresses)
        _write_private(key_path, key)
        _write_private(cert_path, cert)
    return str(cert_path), str(key_path)


def print_qr(url: str, out: TextIO) -> None:
    """The link as a QR code of half blocks, for the camera of a phone."""
    import segno

    segno.make(url, error="l").terminal(out=out, compact=True)


def _still_serves(cert_path: Path, key_path: Path, addresses: list[str]) -> bool:
    from cryptography import x509

    if not key_path.exists():
        return False
    with contextlib.suppress(OSError, ValueError, x509.ExtensionNotFound):
        cert = x509.load_pem_x509_certificate(cert_path.read_bytes())
        names = cert.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        covered = {str(address) for address in names.get_values_for_type(x509.IPAddress)}
        soon = datetime.datetime.now(datetime.UTC) + datetime.timedelta(days=RENEW_DAYS)
        return set(addresses) <= covered and cert.not_valid_after_utc > soon
    return False


def _make(addresses: list[str]) -> tuple[bytes, bytes]:
    """Certificate and key as PEM; P-256, which every client takes and which is small."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.oid.NameOID.COMMON_NAME, "liveserver")])
    now = datetime.datetime.now(datetime.UTC)
    numbers = [ipaddress.ip_address(it) for it in dict.fromkeys(["127.0.0.1", *addresses])]
    alternatives = [x509.DNSName("localhost"), *(x509.IPAddress(number) for number in numbers)]
    cert = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))  # a phone's clock may be behind
        .not_valid_after(now + datetime.timedelta(days=VALID_DAYS - 1))
        .add_extension(x509.SubjectAlternativeName(alternatives), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(
            x509.ExtendedKeyUsage([x509.oid.ExtendedKeyUsageOID.SERVER_AUTH]), critical=False
        )
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    return cert.public_bytes(serialization.Encoding.PEM), private


def _write_private(path: Path, data: bytes) -> None:
    """Complete or not at all, readable by the owner alone."""
    fresh = path.with_name(f".{path.name}")
    fresh.unlink(missing_ok=True)
    fd = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(fd, "wb") as file:
        file.write(data)
    fresh.replace(path)
