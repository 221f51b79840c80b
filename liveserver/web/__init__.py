"""HTTP: one table of routes drives the doors, the rights, the documents and the tests."""

from liveserver.web.app import build, make_runner

__all__ = ["build", "make_runner"]
