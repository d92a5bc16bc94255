"""`python -m lingma_cli` is `lingma`."""

import sys

from lingma_cli.cli import main

sys.exit(main())
