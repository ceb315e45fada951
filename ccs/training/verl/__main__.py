"""``python -m ccs.training.verl``: verl on ``config.yaml``, after checks; options are Hydra's (``key=value``)."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from typing import Any

from ccs.training.verl.check import check_config
from fresco.errors import FrescoError

_FOLDER = Path(__file__).resolve().parent


def main() -> int:
    """The command."""
    try:
        hydra = importlib.import_module("hydra")
        trainer = importlib.import_module("verl.trainer.main_ppo")
    except ImportError as error:
        print(f"error: verl cannot be imported ({error}); pip install 'fresco-ccs[verl]'", file=sys.stderr)  # noqa: T201
        return 2
    status = 0

    def train(config: Any) -> None:
        nonlocal status
        try:
            check_config(config)
            trainer.main(config)
        except FrescoError as error:
            # Ray hands on what another process raised as an error of both kinds, whose text is a traceback.
            print(f"error: {getattr(error, 'cause', error)}", file=sys.stderr)  # noqa: T201
            status = 2

    hydra.main(config_path=str(_FOLDER), config_name="config", version_base=None)(train)()
    return status


if __name__ == "__main__":
    sys.exit(main())
