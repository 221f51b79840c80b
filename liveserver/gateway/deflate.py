"""
permessage-deflate (RFC 7692) without memory for a connection: no context on either side.

What the server sends is compressed once for all who negotiated this (`rooms/frames.py`), so it must
not depend on what a connection had before, nor on a smaller window than the usual one. A client
that asks for a smaller window gets plain frames. What a client sends is inflated by the library,
which stops at the size limit of a message.
"""

from collections.abc import Sequence

from websockets.exceptions import NegotiationError
from websockets.extensions.base import Extension
from websockets.extensions.permessage_deflate import (
    PerMessageDeflate,
    ServerPerMessageDeflateFactory,
)
from websockets.typing import ExtensionParameter

WINDOW_BITS = "15"  # what compressed frames need


class SharedDeflateFactory(ServerPerMessageDeflateFactory):
    """Accepts an offer if the same compressed bytes can go to all who made such an offer."""

    def __init__(self) -> None:
        super().__init__(server_no_context_takeover=True, client_no_context_takeover=True)

    def process_request_params(
        self, params: Sequence[ExtensionParameter], accepted_extensions: Sequence[Extension]
    ) -> tuple[list[ExtensionParameter], PerMessageDeflate]:
        for name, value in params:
            if name == "server_max_window_bits" and value != WINDOW_BITS:
                raise NegotiationError("the window is shared and has its full size")
        return super().process_request_params(params, accepted_extensions)


SHARED_DEFLATE = SharedDeflateFactory()
