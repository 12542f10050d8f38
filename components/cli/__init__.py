"""The project's command line: `python -m components.cli COMMAND`, which the Makefile calls."""
