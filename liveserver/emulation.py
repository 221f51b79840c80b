"""
What a client of a stream sends in requests of its own, on its way to the worker with the stream.

A request may reach any worker; `node` of the connect reply names the right one. What comes for a
session that is gone is taken and dropped, as in Centrifugo: the client notices by its stream.
"""

import msgspec

from liveserver.control import Control, Work
from liveserver.gateway.gateway import Gateway
from liveserver.gateway.options import MESSAGE_BYTES
from liveserver.problems import Refused

OP = "emulate"  # its name among what workers tell each other


class Commands(msgspec.Struct):
    """Commands for one stream."""

    session: str
    data: bytes


class Emulation:
    """The streams of this worker and, by `control`, of the others."""

    def __init__(self, gateway: Gateway) -> None:
        self.gateway = gateway
        self.control: Control | None = None

    @property
    def work(self) -> dict[str, Work]:
        """What this worker does when another one tells it to."""
        return {OP: lambda body: self._receive(msgspec.json.decode(body, type=Commands))}

    async def send(self, node: str, session: str, data: bytes) -> None:
        """
        Pass on the commands of one request.

        Raises:
            Refused: `not-found` for an unknown worker, `too-large`.
            Unavailable: The bus does not answer.
        """
        if len(data) > MESSAGE_BYTES:
            raise Refused(
                "too-large", f"Commands of one request have at most {MESSAGE_BYTES} bytes."
            )
        commands = Commands(session, data)
        if node == self.gateway.node:
            self._receive(commands)
        elif self.control is None or not await self.control.tell(node, OP, commands):
            raise Refused("not-found", "There is no such node.")

    def _receive(self, commands: Commands) -> None:
        stream = self.gateway.streams.get(commands.session)
        if stream is not None:
            stream.say(commands.data)
