"""`python -m liveserver` is the same as `liveserver`."""

import sys

from liveserver.cli import main

if __name__ == "__main__":
    sys.exit(main())
