"""HTTP: one table of routes drives the doors, the rights, the documents and the tests."""
