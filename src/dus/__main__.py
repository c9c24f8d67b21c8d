"""`python -m dus` is the command line."""

import sys

from dus.cli import main

sys.exit(main())
