"""The engines by name. Each is registered in a file of this package; :mod:`fresco.io.registry` says how specs are read.

``make`` may ask for ``tokenizer``, ``config`` (:class:`~ccs.training.config.GenerationConfig`), ``probe`` (token ids of
a text from which trainer and engine go on at the start, to be compared) and ``sync`` (of ``vllm-server``).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from fresco.io.registry import Registry

if TYPE_CHECKING:
    from ccs.training.engines import Engine, SoloEngine

ENGINES: Registry[Engine | SoloEngine] = Registry(
    "engine",
    flag="generation.engine",
    package="ccs.training",
    group="ccs.engines",
    columns=("server",),
    members=("prepare",),
    listing="ccs parts",
)
