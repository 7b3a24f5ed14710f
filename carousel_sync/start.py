"""The entry point of ``carousel-sync``: an interruption ends it without a traceback, even while it is starting."""

from __future__ import annotations

import sys

EXIT_INTERRUPTED = 130
"""128 plus the number of SIGINT, as shells report it."""


def main() -> None:
    """Run the command line. After Ctrl-C at any moment, exit with code 130."""
    try:
        # Importing the command line takes a moment, in which somebody may press Ctrl-C.
        from carousel_sync.cli import main as run  # noqa: PLC0415

        run()
    except KeyboardInterrupt:
        sys.stderr.write("Interrupted.\n")
        sys.exit(EXIT_INTERRUPTED)
