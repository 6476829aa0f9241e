"""`python -m aof_nats`: see `python -m aof_nats --help`."""

import sys

from .harness.command import main

if __name__ == "__main__":
    sys.exit(main())
