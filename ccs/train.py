"""``accelerate launch -m ccs.train --config FILE --out DIR``: ``ccs train`` under a launcher of processes.

Only a launcher runs this module. In Python ``ccs.train`` is the function of :mod:`ccs.api`, which an import of a module
of that name would replace; so an import is refused.
"""

import sys

if __name__ == "__main__":
    from ccs.cli import main

    sys.exit(main(["train", *sys.argv[1:]]))
elif __name__ != "__mp_main__":  # so processes that it spawns (vLLM's, data loaders') read their parent's main module
    raise ImportError("ccs.train is a function: `from ccs import train`; its package is ccs.training")
