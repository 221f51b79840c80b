"""`liveserver run` with the tiny worker; its arguments are those of `run`."""

import sys
from pathlib import Path

from liveserver import supervisor
from liveserver.cli import main

if __name__ == "__main__":
    supervisor.WORKER_COMMAND[:] = [sys.executable, str(Path(__file__).parent / "tiny_worker.py")]
    sys.exit(main(["run", *sys.argv[1:]]))
