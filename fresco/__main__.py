"""``python -m fresco``."""

import sys

from fresco.cli import main

sys.exit(main())
