"""The Optuna study of one search: a trial for each instruction, shared by any number of workers.

A trial belongs to the study, not to the worker that made it: it is added as RUNNING, its average precisions are added
stage by stage as attributes, and Optuna lets exactly one worker end it. So a killed worker leaves nothing to repair;
whoever goes on finds what is missing. Leases keep two workers from scoring the same thing at the same time; they are
hints, nothing but time is lost where one fails. Of two trials with the same instruction (two workers that proposed at
the same moment) the lower number is the real one, and the other ends as FAIL.
"""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from datetime import datetime
from typing import TYPE_CHECKING, Any

import numpy as np

from fresco.errors import FrescoError
from fresco.io.secrets import redacted
from fresco.metrics.aggregate import rounded
from fresco.optimizer.proposers.base import ProposedInstruction
from fresco.optimizer.search.soundness import flaw_of_plan, flaw_of_trial
from fresco.optimizer.search.storage import failures, import_optuna
from fresco.optimizer.search.worker import Worker
from fresco.stats.arrays import FloatArray

if TYPE_CHECKING:
    from optuna import Study
    from optuna.trial import FrozenTrial

#: Attributes of a study and of its trials; ``optuna-dashboard`` shows them.
IDENTITY = "fresco"
_SHA = "sha256"
_VALUES = "ap:{}"
_SECONDS = "seconds:{}"
_LEASE = "lease"
_PLANNED = "planned:{}"
_PLANNING = "planning:{}"


def text_digest(text: str | None) -> str:
    """SHA-256 of an instruction; of the model's own default for None."""
    return hashlib.sha256(b"default" if text is None else b"text:" + text.encode()).hexdigest()


class SearchStudy:
    """A study with what the search keeps in it.

    Args:
        storage: See :func:`fresco.optimizer.search.storage.open_storage`.
        name: The study's.
        identity: What makes two searches the same; JSON values.
        worker: Who asks.

    Raises:
        FrescoError: a study of this name belongs to another search, or is damaged.
    """

    def __init__(self, storage: Any, name: str, identity: Mapping[str, Any], worker: Worker) -> None:
        optuna = import_optuna()
        self.name, self._worker = name, worker
        self._plans: dict[int, Mapping[str, Any]] = {}
        self._sound: set[int] = set()
        # The study's own sampler is never asked; a random one does nothing when a trial is told.
        self.study: Study = optuna.create_study(
            study_name=name,
            storage=storage,
            directions=["maximize", "maximize"],
            load_if_exists=True,
            sampler=optuna.samplers.RandomSampler(),
        )
        if (count := len(self.study.directions)) != 2:
            raise FrescoError(
                f"the study {name!r} of this storage has {count} objective{'s' * (count > 1)} where a search has two, "
                "EK and NEK; choose another --study"
            )
        self._storage = storage
        self._study_id = storage.get_study_id_from_name(name)
        wanted = json.loads(json.dumps(redacted(identity)))
        found = self.study.user_attrs.get(IDENTITY)
        if found is None:
            if self.study.get_trials(deepcopy=False) or self.study.user_attrs:
                raise FrescoError(f"the study {name!r} of this storage was not made by fresco; choose another --study")
            self.study.set_metric_names(["EK", "NEK"])
            self.study.set_user_attr(IDENTITY, wanted)
        elif not isinstance(found, dict):
            raise self._damaged("says nothing of its search")
        elif found != wanted:
            changed = [key for key in {**found, **wanted} if found.get(key) != wanted.get(key)]
            raise FrescoError(
                f"the study {name!r} of this storage searched with another {', '.join(changed)} "
                f"({_short(found.get(changed[0]))}, now {_short(wanted.get(changed[0]))}); choose another --study"
            )
        self.trials()  # what is damaged says so before anything is scored

    def trials(self) -> list[FrozenTrial]:
        """Every trial that stands for its instruction, in order of number; duplicates end here as FAIL."""
        first: dict[str, FrozenTrial] = {}
        for trial in self.study.get_trials(deepcopy=False):
            if trial.number not in self._sound:
                if flaw := flaw_of_trial(trial.state.name, trial.user_attrs):
                    raise self._damaged(f"trial {trial.number} lacks {flaw!r}, or holds something else there")
                if trial.state.is_finished():  # it will not change, and a search asks often
                    self._sound.add(trial.number)
            own = first.setdefault(trial.user_attrs[_SHA], trial)
            if own is not trial and not trial.state.is_finished():
                self._end(trial, "FAIL", None, {"duplicate_of": own.number})
        return list(first.values())

    def rounds(self, before: int) -> list[FrozenTrial]:
        """The trials of all rounds before this one."""
        return [trial for trial in self.trials() if trial.user_attrs["round"] < before]

    def of_round(self, number: int) -> list[FrozenTrial]:
        """The trials of a round."""
        return [trial for trial in self.trials() if trial.user_attrs["round"] == number]

    def add(
        self, proposal: ProposedInstruction, *, text: str | None, number: int, seed: int, choices: Mapping[str, Any]
    ) -> None:
        """Add a trial for an instruction unless it has one.

        Args:
            proposal: What was proposed.
            text: The instruction; None for the model's own default.
            number: Of the round.
            seed: Of the search.
            choices: Values of each parameter in ``proposal.params``.
        """
        optuna = import_optuna()
        sha = text_digest(text)
        if any(trial.user_attrs[_SHA] == sha for trial in self.study.get_trials(deepcopy=False)):
            return
        attributes = {
            "text": text,
            _SHA: sha,
            "operator": proposal.operator,
            "parents": list(proposal.parents),
            "round": number,
            "seed": seed,
            "detail": dict(proposal.detail),
        }
        trial = optuna.trial.create_trial(
            state=optuna.trial.TrialState.RUNNING,
            params=dict(proposal.params),
            distributions={key: optuna.distributions.CategoricalDistribution(choices[key]) for key in proposal.params},
            user_attrs=attributes,
        )
        trial.datetime_start = datetime.now()  # naive, as Optuna's own times are
        self.study.add_trial(trial)  # one transaction: a killed worker leaves a whole trial or none

    def planned(self, number: int) -> Mapping[str, Any] | None:
        """What was proposed in a round, once all of it has trials."""
        if number not in self._plans:  # each look copies every attribute of the study
            plan = self.study.user_attrs.get(_PLANNED.format(number))
            if plan is None:
                return None
            if (flaw := flaw_of_plan(plan)) is not None:
                raise self._damaged(f"the plan of round {number} {f'lacks {flaw!r}' if flaw else 'is none'}")
            self._plans[number] = plan
        return self._plans[number]

    def take_planning(self, number: int) -> AbstractContextManager[None] | None:
        """Take the lease of proposing a round, for as long as the context lasts; None where another worker holds it."""
        key = _PLANNING.format(number)
        if not self._worker.may_take(self.study.user_attrs.get(key)):
            return None
        self.study.set_user_attr(key, self._worker.lease())
        if self.study.user_attrs[key][0] != self._worker.id:
            return None
        return self._renewed(lambda: self.study.set_user_attr(key, self._worker.lease()))

    def mark_planned(self, number: int, plan: Mapping[str, Any]) -> None:
        """Say that every instruction of a round has its trial."""
        self.study.set_user_attr(_PLANNED.format(number), dict(plan))

    def values(self, trials: Sequence[int], stage: int, count: int) -> dict[int, FloatArray]:
        """The average precisions of a stage, each of shape (``count``,), of those of these trials that have them."""
        # One by one: a list of all trials reads every running one again, for each candidate that was scored.
        key = _VALUES.format(stage)
        attributes = {number: self._storage.get_trial(self._trial_id(number)).user_attrs for number in trials}
        found = {}
        for number, own in attributes.items():
            if key not in own:
                continue
            try:
                found[number] = np.array(own[key], np.float64)
            except (TypeError, ValueError):
                raise self._damaged(f"trial {number} has no numbers in {key!r}") from None
            if found[number].shape != (count,) or not np.isfinite(found[number]).all():
                raise self._damaged(f"trial {number} has not {count} numbers in {key!r}")
        return found

    def stored(self, number: int, stage: int, count: int) -> FloatArray:
        """The average precisions of a trial that has been scored."""
        found = self.values([number], stage, count)
        if number not in found:
            raise self._damaged(f"trial {number} lacks {_VALUES.format(stage)!r}")
        return found[number]

    def _damaged(self, how: str) -> FrescoError:
        return FrescoError(
            f"the study {self.name!r} of this storage is damaged: {how}; choose another --study, or delete it "
            "(scores are kept elsewhere, so a new search costs little)"
        )

    def take(self, number: int, stage: int) -> AbstractContextManager[None] | None:
        """Take the lease of scoring a trial, for as long as the context lasts.

        Returns:
            None where another worker holds it or the stage is scored.
        """
        trial_id = self._trial_id(number)
        trial = self._storage.get_trial(trial_id)
        if _VALUES.format(stage) in trial.user_attrs:
            return None
        # A finished trial may want a score: another machine rounds otherwise and ended what races on here.
        if not trial.state.is_finished() and not self._worker.may_take(trial.user_attrs.get(_LEASE)):
            return None
        self._set(trial_id, _LEASE, self._worker.lease())
        return self._renewed(lambda: self._set(trial_id, _LEASE, self._worker.lease()))

    @contextmanager
    def _renewed(self, renew: Callable[[], None]) -> Iterator[None]:
        """Renews a lease from a thread of its own: a model that loads or an LLM that thinks tells nothing for long."""
        ended = threading.Event()

        def beat() -> None:
            with suppress(*failures()):  # the lease runs out then, and the work itself meets the failure
                while not ended.wait(self._worker.seconds / 4):
                    renew()

        thread = threading.Thread(target=beat, daemon=True)
        thread.start()
        try:
            yield
        finally:
            ended.set()
            thread.join()

    def round_of(self, number: int) -> int:
        """The round of a trial."""
        return int(self._storage.get_trial(self._trial_id(number)).user_attrs["round"])

    def seconds(self, number: int, stages: Iterable[int]) -> float:
        """How long the scoring of a trial took so far."""
        own = self._storage.get_trial(self._trial_id(number)).user_attrs
        return float(sum(own.get(_SECONDS.format(stage), 0.0) for stage in stages))

    def put_values(self, number: int, stage: int, values: FloatArray, seconds: float = 0.0) -> FloatArray:
        """Store the average precisions of a stage, and how long they took; what is read from now on."""
        stored = [rounded(value) for value in values]
        self._set(self._trial_id(number), _SECONDS.format(stage), round(seconds, 3))
        self._set(self._trial_id(number), _VALUES.format(stage), stored)
        return np.array(stored, np.float64)

    def complete(self, trial: FrozenTrial, ek: float, nek: float, attributes: Mapping[str, Any]) -> None:
        """End a trial with its values, unless another worker has."""
        self._end(trial, "COMPLETE", [ek, nek], attributes)

    def prune(self, trial: FrozenTrial, attributes: Mapping[str, Any]) -> None:
        """End a trial that racing dropped, unless another worker has."""
        self._end(trial, "PRUNED", None, attributes)

    def _end(
        self, trial: FrozenTrial, state: str, values: Sequence[float] | None, attributes: Mapping[str, Any]
    ) -> None:
        optuna = import_optuna()
        for key, value in attributes.items():
            self._set(trial._trial_id, key, value)
        with suppress(optuna.exceptions.UpdateFinishedTrialError):
            self._storage.set_trial_state_values(trial._trial_id, optuna.trial.TrialState[state], values)

    def _set(self, trial_id: int, key: str, value: Any) -> None:
        optuna = import_optuna()
        with suppress(optuna.exceptions.UpdateFinishedTrialError):
            self._storage.set_trial_user_attr(trial_id, key, value)

    def _trial_id(self, number: int) -> int:
        return int(self._storage.get_trial_id_from_study_id_trial_number(self._study_id, number))


def _short(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value)
    return text if len(text) <= 40 else f"{text[:37]}..."
