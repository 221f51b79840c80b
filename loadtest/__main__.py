"""`python -m loadtest SCENARIO …`: load, benchmarks and faults against a running server."""

import argparse
import asyncio
import tempfile
from pathlib import Path

import uvloop

from loadtest import (
    bench_figures,
    bench_reserve,
    bench_video,
    bench_writer,
    books,
    checker,
    fanout_report,
    faults,
    journal,
    pages,
    reserve,
    rush,
)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m loadtest", description=__doc__)
    scenarios = parser.add_subparsers(dest="scenario", required=True, metavar="SCENARIO")
    add_rush(scenarios.add_parser("rush", help="many buyers want few units at the same moment"))
    add_faults(scenarios.add_parser("faults", help="faults under load, each checked"))
    add_check(scenarios.add_parser("check", help="clients' journals against the database"))
    add_writer(scenarios.add_parser("writer", help="the writer alone, and the usual way beside it"))
    add_reserve(scenarios.add_parser("reserve", help="orders end to end, through viewer sockets"))
    add_figures(scenarios.add_parser("figures", help="the whole table of docs/benchmarks.md"))
    fanout_report.add_arguments(
        scenarios.add_parser("fanout", help="deliveries, latency, memory; against other servers")
    )
    bench_video.add_arguments(
        scenarios.add_parser("video", help="what forwarding a picture to many viewers costs")
    )
    pages.add_arguments(
        scenarios.add_parser(
            "pages", help="the live room's budgets, in a browser four times slower"
        )
    )
    options = parser.parse_args()
    raise SystemExit(options.go(options))


def add_rush(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--url", default="http://127.0.0.1:8000")
    parser.add_argument("--user", default="streamer", help="who starts the sale")
    parser.add_argument("--password", default="demo")
    parser.add_argument("--room", default="demo")
    parser.add_argument("--sku", default="demo-2")
    parser.add_argument("--buyers", type=int, default=200)
    parser.add_argument("--units", type=int, default=50)
    parser.set_defaults(go=go_rush)


def add_writer(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("databases", nargs="*", default=["sqlite", "postgres"])
    parser.add_argument("--seconds", type=float, default=5.0, help="of each run")
    parser.add_argument("--runs", type=int, default=5, help="the median is printed")
    parser.set_defaults(go=go_writer)


def go_writer(options: argparse.Namespace) -> int:
    bench_writer.run(options.databases, options.seconds, options.runs)
    return 0


def add_figures(parser: argparse.ArgumentParser) -> None:
    names = ", ".join(bench_figures.NAMES)
    parser.add_argument("names", nargs="*", help=f"these alone: {names}")
    parser.add_argument("--database", action="append", choices=("sqlite", "postgres"))
    parser.add_argument("--seconds", type=float, default=5.0, help="of each run of the writer")
    parser.add_argument("--runs", type=int, default=5, help="of the writer; the median counts")
    parser.set_defaults(go=go_figures)


def go_figures(options: argparse.Namespace) -> int:
    unknown = set(options.names) - set(bench_figures.NAMES)
    if unknown:
        print(f"unknown: {', '.join(sorted(unknown))}")
        return 2
    databases = options.database or ["sqlite", "postgres"]
    return 0 if bench_figures.run(options.names, databases, options.seconds, options.runs) else 1


def add_reserve(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--url", default="http://127.0.0.1:8000")
    parser.add_argument(
        "--database", choices=["sqlite", "postgres"], help="start a server of its own on this"
    )
    parser.add_argument("--receiver", choices=["on", "off"], default="on", help="of webhooks there")
    parser.add_argument("--buyers", type=int, default=500, help="sockets, one request each at once")
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--rate", type=float, help="requests a second over all; none: closed loop")
    parser.add_argument("--units", type=int, default=1_000_000, help="few: measures refusals")
    parser.add_argument("--journal", type=Path, help="write down what buyers were told, to check")
    parser.set_defaults(go=go_reserve)


def go_reserve(options: argparse.Namespace) -> int:
    if options.database:
        on = options.receiver == "on"
        return bench_reserve.run(
            bench_reserve.Setup(options.database, on, options.buyers, options.seconds)
        )
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        result = runner.run(
            reserve.run(
                options.url,
                buyers=options.buyers,
                seconds=options.seconds,
                rate=options.rate,
                units=options.units,
            )
        )
    reserve.report(result)
    if options.journal:
        with journal.Journal(options.journal) as told:
            reserve.write_down(result, told, options.units)
    return 0


def add_faults(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--only", default="", metavar="F2,standby", help="these faults, or words of their names"
    )
    parser.add_argument("--short", action="store_true", help="a few cells, shorter faults")
    parser.add_argument("--database", choices=["sqlite", "postgres"], default="sqlite")
    parser.add_argument("--folder", type=Path, help="where cells run; kept where one failed")
    parser.add_argument("--report", type=Path, metavar="FILE", help="put the table in there")
    parser.set_defaults(go=go_faults)


def go_faults(options: argparse.Namespace) -> int:
    folder = options.folder or Path(tempfile.mkdtemp(prefix="faults-"))
    only = {name for name in options.only.split(",") if name}
    failed = faults.run(only, options.short, folder, options.report, options.database)
    print(f"{failed} cells failed" + (f"; see {folder}" if failed else ""))
    return 1 if failed else 0


def add_check(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--database", required=True, help="path of a SQLite file, or a URL")
    parser.add_argument("--journal", required=True, type=Path, help="what clients were told")
    parser.add_argument("--outage-ms", type=int, default=0, help="how long nothing could be done")
    parser.set_defaults(go=go_check)


def go_check(options: argparse.Namespace) -> int:
    found = asyncio.run(books.read_books(checker.database_url(options.database)))
    lines = journal.read(options.journal)
    violations = checker.check(books.Run(found, lines, options.outage_ms))
    for violation in violations:
        print(violation)
    print(f"{len(found.orders)} orders, {len(lines)} lines, {len(violations)} violations")
    return 1 if violations else 0


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
