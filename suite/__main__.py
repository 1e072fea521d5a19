"""Where ``lightboard`` and ``python -m suite`` begin: Ctrl-C is one line while the command line is imported, too."""

from __future__ import annotations

import sys


def main() -> None:
    """The command line, which handles what comes after its imports by itself."""
    try:
        from suite.cli import main as command_line
    except KeyboardInterrupt:
        sys.exit("lightboard: stopped")
    command_line()


if __name__ == "__main__":
    main()
