"""``accelerate launch -m ccs.train --config FILE --out DIR``: ``ccs train`` under a launcher of processes."""

import sys

from ccs.cli import main

sys.exit(main(["train", *sys.argv[1:]]))
