"""Entry point of ``python -m edged`` and of the ``edged`` command."""

import sys

from edged.cli import main

if __name__ == "__main__":
    sys.exit(main())  # noqa: TID251  # this file is the command line's door
