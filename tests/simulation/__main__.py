"""`python -m tests.simulation SEED`: that day again, and everything that went wrong in it."""

import sys

from tests.simulation.day import simulate

if __name__ == "__main__":
    day = simulate(int(sys.argv[1]))
    print("\n".join(day.trail))
    print(day.found or "nothing was violated")
    sys.exit(bool(day.found))
