"""`python -m loadtest SCENARIO …`: load, benchmarks and faults against a running server."""

import argparse
import asyncio

from loadtest import rush


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m loadtest", description=__doc__)
    scenarios = parser.add_subparsers(dest="scenario", required=True, metavar="SCENARIO")
    add_rush(scenarios.add_parser("rush", help="many buyers want few units at the same moment"))
    options = parser.parse_args()
    options.go(options)


def add_rush(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--url", default="http://127.0.0.1:8000")
    parser.add_argument("--user", default="streamer", help="who starts the sale")
    parser.add_argument("--password", default="demo")
    parser.add_argument("--room", default="demo")
    parser.add_argument("--sku", default="demo-2")
    parser.add_argument("--buyers", type=int, default=200)
    parser.add_argument("--units", type=int, default=50)
    parser.set_defaults(go=go_rush)


def go_rush(options: argparse.Namespace) -> None:
    done = asyncio.run(
        rush.run(
            options.url,
            user=options.user,
            password=options.password,
            room=options.room,
            sku=options.sku,
            buyers=options.buyers,
            units=options.units,
        )
    )
    slowest = max(buyer.answered_after_seconds for buyer in done.buyers)
    for outcome, count in sorted(done.outcomes().items()):
        print(f"{outcome:>16}  {count}")
    print(f"{'slowest answer':>16}  {slowest:.2f} s")


if __name__ == "__main__":
    main()
