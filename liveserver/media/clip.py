"""
The demo's moving picture: a cup on a turntable with steam and a bar of light, and a quiet tune.
Drawn and encoded here once (H.264 baseline, Opus), kept in the data directory, then only sent.
"""

import fractions
import math
from pathlib import Path

import av
import msgspec

WIDTH, HEIGHT, FPS, SECONDS = 360, 640, 20, 6
VIDEO_CLOCK, AUDIO_CLOCK, AUDIO_FRAME = 90_000, 48_000, 960  # Opus: 20 ms
BIT_RATE = 600_000
VERSION = 1  # raised when the drawing changes
NOTES = (220.0, 277.2, 329.6, 277.2, 246.9, 311.1, 370.0, 311.1, 207.7, 261.6, 311.1, 261.6)


class Clip(msgspec.Struct):
    """`pictures` are access units as lists of NAL units, `sounds` packets of 20 ms."""

    version: int
    pictures: list[list[bytes]]
    sounds: list[bytes]


def load(folder: Path) -> Clip:
    """The clip of the data directory; made where there is none. Takes a second or two then."""
    path = folder / "demo-clip.bin"
    try:
        clip = msgspec.msgpack.decode(path.read_bytes(), type=Clip)
        if clip.version == VERSION:
            return clip
    except (OSError, msgspec.MsgspecError):
        pass
    clip = Clip(VERSION, _pictures(), _sounds())
    path.write_bytes(msgspec.msgpack.encode(clip))
    return clip


def _pictures() -> list[list[bytes]]:
    encoder = av.CodecContext.create("libx264", "w")
    assert isinstance(encoder, av.VideoCodecContext)
    encoder.width, encoder.height, encoder.pix_fmt = WIDTH, HEIGHT, "yuv420p"
    encoder.time_base = fractions.Fraction(1, FPS)
    encoder.framerate = fractions.Fraction(FPS)
    encoder.bit_rate = BIT_RATE
    encoder.gop_size = FPS
    encoder.thread_count = 1
    encoder.options = {
        "preset": "veryfast", "tune": "zerolatency", "profile": "baseline",
        "x264-params": "scenecut=0:repeat-headers=1:aud=0:sliced-threads=0",
    }  # fmt: skip
    ground = _ground()
    units = []
    for n in range(FPS * SECONDS):
        frame = _frame(ground, n)
        frame.pts = n
        units += [bytes(packet) for packet in encoder.encode(frame)]
    units += [bytes(packet) for packet in encoder.encode(None)]
    return [nal_units(unit) for unit in units]


def nal_units(unit: bytes) -> list[bytes]:
    """Annex B (start codes) to NAL units."""
    parts = unit.replace(b"\0\0\0\1", b"\0\0\1").split(b"\0\0\1")
    return [part.rstrip(b"\0") for part in parts if part]


def _ground() -> tuple[bytearray, bytearray, bytearray]:
    """A wall that gets lighter towards a table; Y, U and V."""
    table = HEIGHT * 2 // 3
    light, u, v = bytearray(), bytearray(), bytearray()
    for y in range(HEIGHT):
        if y < table:
            row = bytes(
                60 + y * 70 // table + int(18 * math.exp(-(((x - WIDTH / 2) / 110) ** 2)))
                for x in range(WIDTH)
            )
        else:
            row = bytes([118 - (y - table) * 60 // (HEIGHT - table)]) * WIDTH
        light += row
    for y in range(HEIGHT // 2):
        wall = y * 2 < table
        u += bytes([122 if wall else 108]) * (WIDTH // 2)
        v += bytes([140 if wall else 156]) * (WIDTH // 2)
    return light, u, v


def _frame(ground: tuple[bytearray, bytearray, bytearray], n: int) -> av.VideoFrame:
    phase = 2 * math.pi * n / (FPS * SECONDS)
    light, u, v = (bytearray(plane) for plane in ground)
    _turntable(light)
    _cup(light, u, v, phase)
    _steam(light, phase)
    frame = av.VideoFrame(WIDTH, HEIGHT, "yuv420p")
    for plane, data in zip(frame.planes, (light, u, v), strict=True):
        plane.update(_padded(data, plane.width, plane.line_size))
    return frame


def _padded(data: bytearray, width: int, line: int) -> bytes:
    if line == width:
        return bytes(data)
    gap = bytes(line - width)
    return b"".join(data[at : at + width] + gap for at in range(0, len(data), width))


def _turntable(light: bytearray) -> None:
    middle_y, middle_x = HEIGHT * 3 // 4, WIDTH // 2
    for y in range(middle_y - 26, middle_y + 27):
        half = int(130 * math.sqrt(1 - ((y - middle_y) / 27) ** 2))
        at = y * WIDTH + middle_x
        light[at - half : at + half] = bytes([150 - abs(y - middle_y)]) * (2 * half)


def _cup(light: bytearray, u: bytearray, v: bytearray, phase: float) -> None:
    """A cylinder with painted stripes that turn with it."""
    middle, half, top, bottom = WIDTH // 2, 74, HEIGHT * 9 // 20, HEIGHT * 3 // 4
    shade, stripes = bytearray(), []
    for x in range(-half, half):
        angle = math.asin((x + 0.5) / half)
        shade.append(int(70 + 130 * max(0.1, math.cos(angle - 0.5))))
        stripes.append(math.sin(6 * (angle + phase)) > 0.2)
    band = bytes(int(s * (0.55 if on else 1)) for s, on in zip(shade, stripes, strict=True))
    ends = _handle(light, phase, middle, half, top)
    for y in range(top, bottom):
        at = y * WIDTH + middle - half
        light[at : at + 2 * half] = band if top + 50 < y < bottom - 30 else shade
    for y in range(top // 2, bottom // 2):
        at = y * (WIDTH // 2) + (middle - half) // 2
        u[at : at + half] = bytes([140]) * half
        v[at : at + half] = bytes([112]) * half
    for y in range(top - 10, top + 11):
        wide = int(half * math.sqrt(1 - ((y - top) / 11) ** 2))
        at = y * WIDTH + middle
        light[at - wide : at + wide] = bytes([60 + ends]) * (2 * wide)


def _handle(light: bytearray, phase: float, middle: int, half: int, top: int) -> int:
    """A ring at the side that the turning shows and hides; returns a hint of light inside."""
    side = math.cos(phase)
    centre = middle + int(side * (half + 6))
    for y in range(top + 40, top + 130):
        reach = int(34 * math.sqrt(1 - ((y - top - 85) / 46) ** 2))
        for x in (centre - reach, centre + reach):
            at = y * WIDTH + max(0, min(WIDTH - 10, x - 5))
            light[at : at + 10] = bytes([165]) * 10
    return int(10 * abs(side))


def _steam(light: bytearray, phase: float) -> None:
    top = HEIGHT * 9 // 20 - 20
    for strand in range(3):
        for rise in range(0, 150, 2):
            sway = math.sin(rise / 22 - 3 * phase + strand * 2) * (4 + rise / 9)
            x = WIDTH // 2 + (strand - 1) * 26 + int(sway)
            at = (top - rise) * WIDTH + x
            width = 6 + rise // 16
            lighter = max(0, 46 - rise // 3)
            for row in (at, at + WIDTH):
                part = light[row - width : row + width]
                light[row - width : row + width] = bytes(min(235, y + lighter) for y in part)


def _sounds() -> list[bytes]:
    encoder = av.CodecContext.create("libopus", "w")
    assert isinstance(encoder, av.AudioCodecContext)
    encoder.sample_rate, encoder.format, encoder.layout = AUDIO_CLOCK, "s16", "stereo"
    encoder.bit_rate = 48_000
    packets = []
    for n in range(AUDIO_CLOCK * SECONDS // AUDIO_FRAME):
        frame = av.AudioFrame("s16", "stereo", AUDIO_FRAME)
        frame.sample_rate, frame.pts = AUDIO_CLOCK, n * AUDIO_FRAME
        frame.planes[0].update(_tune(n * AUDIO_FRAME))
        packets += [bytes(packet) for packet in encoder.encode(frame)]
    return packets


def _tune(start: int) -> bytes:
    """20 ms of plucked notes, two a second, both channels alike."""
    samples = bytearray()
    step = AUDIO_CLOCK // 2
    for n in range(start, start + AUDIO_FRAME):
        note, at = NOTES[n // step % len(NOTES)], (n % step) / AUDIO_CLOCK
        loud = 2_200 * math.exp(-5 * at) * min(1.0, at * 200)
        value = int(
            loud * (math.sin(2 * math.pi * note * at) + 0.3 * math.sin(4 * math.pi * note * at))
        )
        samples += value.to_bytes(2, "little", signed=True) * 2
    return bytes(samples)
