"""The running server: sockets in and out, HTTP, accounts, and the wiring of rooms and orders."""
