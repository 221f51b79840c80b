"""Pictures that can be told apart after any codec: their number stands in them as bars."""

import fractions

import av

WIDTH, HEIGHT, BITS = 320, 240, 12
BAR = WIDTH // (BITS + 4)
FPS = 30


def drawn(number: int) -> bytes:
    """A picture in YUV 4:2:0: a white and a black bar, then the number's bits, lowest first."""
    bars = [1, 0, *((number >> bit) & 1 for bit in range(BITS)), 0, 1]
    row = b"".join(bytes([215 if bar else 40]) * BAR for bar in bars)
    row = row[:WIDTH].ljust(WIDTH, b"\x28")
    return row * HEIGHT + bytes([128]) * (WIDTH * HEIGHT // 2)


def encoded(numbers: range, codec: str = "libx264", gop: int = 15) -> list[bytes]:
    """One access unit a picture."""
    encoder = av.CodecContext.create(codec, "w")
    assert isinstance(encoder, av.VideoCodecContext)
    encoder.width, encoder.height, encoder.pix_fmt = WIDTH, HEIGHT, "yuv420p"
    encoder.time_base, encoder.gop_size = fractions.Fraction(1, FPS), gop
    encoder.options = {"preset": "ultrafast", "tune": "zerolatency", "profile": "baseline"}
    units = []
    for number in numbers:
        frame = av.VideoFrame(WIDTH, HEIGHT, "yuv420p")
        data = drawn(number)
        sizes = (WIDTH * HEIGHT, WIDTH * HEIGHT // 4, WIDTH * HEIGHT // 4)
        for n, plane in enumerate(frame.planes):
            start = sum(sizes[:n])
            plane.update(_lined(data[start : start + sizes[n]], plane.width, plane.line_size))
        frame.pts = number
        units += [bytes(packet) for packet in encoder.encode(frame)]
    return units


def _lined(data: bytes, width: int, line: int) -> bytes:
    gap = bytes(line - width)
    return b"".join(data[at : at + width] + gap for at in range(0, len(data), width))
