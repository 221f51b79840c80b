"""The example of a shop that holds a live room in its page, served on a site of its own."""

import importlib.util
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "embed" / "serve.py"


@contextmanager
def storefront() -> Iterator[Any]:
    """Runs it; `.origin` is its address, `.live` takes the address of the live server."""
    spec = importlib.util.spec_from_file_location("storefront", EXAMPLE)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    with module.Storefront() as front:
        thread = threading.Thread(target=front.serve_forever, args=(0.05,))
        thread.start()
        try:
            yield front
        finally:
            front.shutdown()
            thread.join()
