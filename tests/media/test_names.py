"""What is used of aiortc and pylibsrtp beyond their documents: a version without it fails here."""

import inspect

import pylibsrtp
from aiortc import RTCCertificate, RTCDtlsFingerprint, RTCDtlsParameters, RTCDtlsTransport
from aiortc.rate import RemoteBitrateEstimator
from pylibsrtp._binding import ffi, lib

from tests.media.conftest import Scene


def test_the_dtls_transport_asks_its_transport_for_three_names() -> None:
    """`_recv`, `_send` and `role`, from which it derives its side: controlling is server."""
    source = inspect.getsource(RTCDtlsTransport)
    used = {part.partition("(")[0].partition(",")[0].split(")")[0].split()[0].rstrip(":")
            for part in source.split("self.transport.")[1:]}  # fmt: skip
    assert used == {"_recv", "_send", "role"}
    assert 'self.transport.role == "controlling"' in source


def test_the_peers_certificate_is_judged_in_one_place() -> None:
    """`start` calls `_validate_peer_identity`, which `Dtls` replaces, after the handshake."""
    start = inspect.getsource(RTCDtlsTransport.start)
    shake = start.index("self._do_handshake()")
    judge = start.index("self._validate_peer_identity(remoteParameters)")
    assert shake < judge < start.index("self._setup_srtp()")
    assert "_ssl" in inspect.getsource(RTCDtlsTransport._validate_peer_identity)


async def test_the_keys_are_where_they_are_looked_for(scene: Scene) -> None:
    """After a handshake the transport holds an SRTP session for each way."""
    await scene.publisher()
    (session,) = scene.stage.sessions.values()
    assert session._dtls is not None
    assert isinstance(session._dtls._rx_srtp, pylibsrtp.Session)
    assert isinstance(session._dtls._tx_srtp, pylibsrtp.Session)


def test_the_library_call_of_the_hot_path_is_there() -> None:
    """`srtp_protect` in place, over the handle that `Session` keeps."""
    policy = pylibsrtp.Policy(bytes(30), pylibsrtp.Policy.SSRC_ANY_OUTBOUND)
    session = pylibsrtp.Session(policy)
    buffer, length = ffi.new("char[]", 2048), ffi.new("int *")
    packet = b"\x80\x60" + bytes(98)
    ffi.buffer(buffer)[:100] = packet
    length[0] = 100
    assert lib.srtp_protect(session._srtp[0], buffer, length) == lib.srtp_err_status_ok
    assert length[0] == 110
    assert pylibsrtp.Session(policy).protect(packet) == ffi.buffer(buffer)[:110]


def test_certificates_and_estimates_have_their_shape() -> None:
    """One certificate serves all sessions; the estimator answers with a rate and its streams."""
    certificate = RTCCertificate.generateCertificate()
    names = {fingerprint.algorithm for fingerprint in certificate.getFingerprints()}
    assert "sha-256" in names
    assert RTCDtlsParameters(fingerprints=[RTCDtlsFingerprint("sha-256", "00")]).role == "auto"
    estimator, found = RemoteBitrateEstimator(), None
    for n in range(1_000):
        found = estimator.add(n * 10, (n * 10 * 262_144 // 1000) & 0xFFFFFF, 1_200, 7) or found
    assert found is not None
    rate, streams = found
    assert rate > 100_000
    assert streams == [7]
