"""``python -m ccs``."""

import sys

from ccs.cli import main

sys.exit(main())
