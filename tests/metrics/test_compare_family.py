"""Holm's family holds the pairs that differ, and no others."""

from __future__ import annotations

import numpy as np
import pandas as pd

from fresco.metrics.compare import compare


def _run(**values: list[float]) -> pd.DataFrame:
    return pd.concat(
        [
            pd.DataFrame(
                {
                    "reranker": name,
                    "query_id": [f"q{place}" for place in range(len(own))],
                    "subject": [f"s{place}" for place in range(len(own))],
                    "task": "EK",
                    "kind": "explicit",
                    "MAP": own,
                }
            )
            for name, own in values.items()
        ],
        ignore_index=True,
    )


def test_baselines_that_are_the_same_in_both_runs_cost_no_power() -> None:
    rng = np.random.default_rng(0)
    same, better = rng.uniform(0, 0.5, 12).tolist(), rng.uniform(0.5, 1, 12).tolist()
    baselines = {f"baseline {place}": same for place in range(4)}
    alone = compare(_run(model=same), _run(model=better))
    beside = compare(_run(model=same, **baselines), _run(model=better, **baselines)).set_index(["kind", "a"])
    for row in alone.to_dict("records"):
        assert row["p"] < 0.01
        assert beside.loc[(row["kind"], "model"), "p_holm"] == row["p_holm"] == row["p"]
    assert (beside.drop(index="model", level="a")["p_holm"] == 1).all()
