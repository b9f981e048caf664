"""Trainings of pools that are replayed, which go on over workers while days are lived."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from crypto_pool.adapters.worker_pool import WorkerPool
from crypto_pool.domain.fitting import TrainedCandidate
from crypto_pool.workflow.isolation import Failure
from crypto_pool.workflow.training import TrainingTask, Unscored, train_candidates, training_key

Outcome = TrainedCandidate | Unscored | Failure


@dataclass
class Trainings:
    """What has been trained, or is about to be, by the key of each training."""

    workers: WorkerPool = field(default_factory=WorkerPool)
    _made: dict[str, Outcome] = field(default_factory=dict)
    _coming: Iterator[tuple[TrainingTask, Outcome, bool]] = field(default_factory=lambda: iter(()))

    def begin(self, tasks: Sequence[TrainingTask]) -> None:
        """Begin what will be asked for later; what was begun before ends first, and stays."""
        while self._take():
            pass
        self._coming = train_candidates(self.workers, tasks)
        self._take()  # with the first result the workers have the next tasks

    def outcomes(self, tasks: Sequence[TrainingTask]) -> list[tuple[TrainingTask, Outcome]]:
        """Return what comes of tasks, trained now unless that was begun."""
        keys = {training_key(one, one.algorithm): one for one in tasks}
        while keys.keys() - self._made.keys() and self._take():
            pass
        for task, outcome, _ in train_candidates(
            self.workers, [one for key, one in keys.items() if key not in self._made]
        ):
            self._made[training_key(task, task.algorithm)] = outcome
        return [(task, self._made.pop(key)) for key, task in keys.items()]

    def _take(self) -> bool:
        for task, outcome, _ in self._coming:
            self._made[training_key(task, task.algorithm)] = outcome
            return True
        return False
