"""A worker of a small search, to be killed: python worker.py STORAGE-URL SCORE-STORE ROUNDS-AHEAD."""

from __future__ import annotations

import sys

from fresco.optimizer.proposers.clauses import ClausesProposer, read_bank
from fresco.optimizer.search.objective import Objective
from fresco.optimizer.search.rounds import Search
from fresco.optimizer.search.settings import SearchSettings
from fresco.optimizer.search.storage import open_storage
from fresco.optimizer.search.study import SearchStudy
from fresco.optimizer.search.worker import Worker
from fresco.records import Benchmark
from fresco.scoring.store import ScoreStore
from tests.optimizer.instruction_reader import make_pools
from tests.optimizer.obedient import Obedient

ROUNDS, CHILDREN = 3, 6


def search(url, store_path, ahead):
    pools = tuple(make_pools(48))
    bank = read_bank()
    with ScoreStore(store_path) as store:
        objective = Objective(Obedient(), Benchmark("tiny", pools, "0" * 64), store)
        study = SearchStudy(open_storage(url), "s", {"benchmark": "tiny"}, Worker())
        settings = SearchSettings(rounds=ROUNDS, population=3, children=CHILDREN, ahead=ahead)
        found = Search(study, objective, pools, (), [ClausesProposer(bank)], settings, None, bank.choices)
        return study, found.run()


if __name__ == "__main__":
    search(sys.argv[1], sys.argv[2], int(sys.argv[3]))
