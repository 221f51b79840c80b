"""
`make setup`: the virtual environment, the browser modules and, for root on Debian, Chromium.

Runs with any Python >= 3.11 and the standard library alone. Everything is pinned by hash
(`requirements/dev.txt`, `package-lock.json`); doing it again when nothing changed takes a second.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent

#: what the pages load from npm packages -> its name under static/vendor/
BROWSER_MODULES = {"centrifuge/dist/centrifuge.js": "centrifuge.js"}


def main(venv: Path) -> None:
    if sys.version_info < (3, 11):  # noqa: UP036 - what a user may start it with
        sys.exit(f"Python 3.11 or newer is needed; this is {sys.version.split()[0]}.")
    install_python_packages(venv)
    install_browser_modules(venv)
    install_chromium()


def run(*command: str | Path, **environment: str) -> None:
    subprocess.run(command, check=True, cwd=ROOT, env={**os.environ, **environment})


def install_python_packages(venv: Path) -> None:
    python = venv / "bin" / "python"
    if not python.exists():
        say("making the virtual environment")
        run(sys.executable, "-m", "venv", venv)
    say("installing the pinned Python packages")
    pip = (python, "-m", "pip", "install", "--quiet")
    run(*pip, "--require-hashes", "-r", "requirements/dev.txt")
    run(*pip, "--no-deps", "--no-build-isolation", "--editable", ".")


def install_browser_modules(venv: Path) -> None:
    say("installing the pinned browser modules")
    path = f"{(venv / 'bin').resolve()}{os.pathsep}{os.environ['PATH']}"
    npm = venv / "bin" / "npm"
    run(npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--silent", PATH=path)
    vendor = ROOT / "static" / "vendor"
    vendor.mkdir(parents=True, exist_ok=True)
    for source, name in BROWSER_MODULES.items():
        shutil.copyfile(ROOT / "node_modules" / source, vendor / name)


def install_chromium() -> None:
    """The browser tests need a Chromium; only Debian's package manager as root can add one."""
    if any(map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))):
        return
    if os.geteuid() == 0 and shutil.which("apt-get"):
        say("installing Chromium from Debian's packages")
        quiet = {"DEBIAN_FRONTEND": "noninteractive"}
        run("apt-get", "update", "-qq", **quiet)
        run("apt-get", "install", "-y", "-qq", "chromium", "fonts-noto-cjk", **quiet)
        return
    say("no Chromium found: `make run` works, the browser tests need one (TEST_WITHOUT=browser)")


def say(text: str) -> None:
    print(f"setup: {text}", flush=True)  # noqa: T201 - a set-up script prints


if __name__ == "__main__":
    main(Path(sys.argv[1]))
