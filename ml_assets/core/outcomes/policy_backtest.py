"""The past through a policy of retraining: which model would have served when, and what that came to. Pure arithmetic on tables.

Models are fitted once, as of each partition and on several subsamples of the training rows; a policy chooses which of them are
trained. The product's gates (core.outcomes.played_gates) decide which of these serve, and outcomes count from when they were
complete.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np

from ml_assets.core.metrics.arrays import Floats, Ints
from ml_assets.core.outcomes.played_gates import PlayedGates, PlayedRoles, Release, ask, begun
from ml_assets.errors import MlAssetsError

Word = Literal["new_partition", "drift", "loss", "schedule", "never"]
Flags = np.ndarray[tuple[int], np.dtype[np.bool_]]
NO_ONE = -1


class PolicyRefused(MlAssetsError):
    """A policy that says nothing that can be played."""


@dataclass(frozen=True)
class RetrainingPolicy:
    """The events that ask for training: each partition, one in `every` (`schedule`), an alarm of drift, or a metric that dropped
    by more than `max_drop` in `fails` of the last `of` partitions. None begins within `cool_down` partitions of the last."""

    name: str
    on: tuple[Word, ...]
    every: int = 1
    fails: int = 2
    of: int = 3
    max_drop: float = 0.0
    cool_down: int = 0


@dataclass(frozen=True)
class ReplayedPast:
    """One replicate: models (M) are named by the partition (N, the same number) that they are as of, and releases of them by how
    many partitions later they were let through (K, one where no candidate is kept).

    `advantage` (K, M, N): how good a release is on a partition, greater is better; `promised` (K, M) the same on the windows that
    let it through; `worth` (K, M, N) in value; `seconds` (M,) of CPU; `is_trained` (M,): False where none can be. `alarms` (N,)
    of drift; `days` (N,) that a partition lasts; `complete` (N,): the newest partition whose outcomes are complete when this one
    is in, or NO_ONE.
    """

    keys: Sequence[str]
    advantage: Floats
    promised: Floats
    worth: Floats
    seconds: Floats
    is_trained: Flags
    alarms: Flags
    days: Floats
    complete: Ints
    gates: PlayedGates

    @property
    def begin(self) -> int:
        """The first partition that a model serves: the one after the first model could be trained. That of a past without any is
        the end."""
        there = (now for now, newest in enumerate(self.complete.tolist()) if newest != NO_ONE and self.is_trained[newest])
        return next(there, len(self.keys)) + 1

    @property
    def possible(self) -> list[int]:
        """The partitions after which a candidate can be trained: with them come outcomes for another one."""
        complete = self.complete
        after = range(self.begin, len(self.keys))
        return [now for now in after if complete[now] > complete[now - 1] and self.is_trained[complete[now]]]


@dataclass(frozen=True)
class Played:
    """The result of a policy on one replicate. `promoted`: trainings that the gates let through; `alarms`: partitions with an
    alarm of drift, or whose metric dropped as the policy says; `later`: the mean advantage on partitions after the model was
    chosen; `worse`: days served by a model that was worse there than the newest one that could have been trained."""

    policy: str
    trainings: int
    promoted: int
    seconds: float
    alarms: int
    later: float
    worse: float
    worth: float
    partitions: int
    at: tuple[str, ...] = field(default=())


@dataclass
class _PolicyState:
    """The state of a policy on its way: models by the partition that they are as of. `begun` and `last`: the partitions that
    were in when the first model and the last one were trained. `answered`: up to which partition alarms were."""

    roles: PlayedRoles
    newest: int
    begun: int
    last: int
    answered: dict[Word, int]


def play(policy: RetrainingPolicy, past: ReplayedPast, *, at: Sequence[int] | None = None) -> Played:
    """Go through the partitions in order. The first model serves first, whatever the policy. `at`: trainings after these
    partitions, whatever else the policy says."""
    begin, test = past.begin, past.gates.test
    first = int(past.complete[begin - 1])
    roles = begun(past.gates, first)
    state = _PolicyState(roles, first, begin - 1, begin - 1, {"drift": first - test, "loss": first - test})
    served: dict[int, Release] = {}
    dropped: dict[int, bool] = {}
    trained: list[int] = []
    for now in range(begin, len(past.keys)):
        served[now] = roles.serving
        dropped |= _dropped(past, served, range(max(begin, int(past.complete[now - 1]) + 1), int(past.complete[now]) + 1), policy)
        candidate = int(past.complete[now])
        if candidate <= state.newest or not past.is_trained[candidate] or now - state.last <= policy.cool_down:
            continue
        sounded: dict[Word, Sequence[int]] = {"drift": [*np.flatnonzero(past.alarms)], "loss": _losses(policy, dropped)}
        is_due = now in at if at is not None else _asks(policy, state, now, candidate - test, sounded)
        if is_due:
            trained.append(candidate)
            state.answered |= {"drift": candidate - test, "loss": candidate - test}
            state.newest, state.last = candidate, now
            ask(past.gates, roles, candidate)
    places = np.array([*served], dtype=int)
    models, delays = (
        np.array(part, dtype=int) for part in zip(*((r.model, r.at - r.model) for r in served.values()), strict=True)
    )
    advantage = past.advantage[delays, models, places]
    is_worse = advantage < past.advantage[0, past.complete[places - 1], places]
    alarms = {*np.flatnonzero(past.alarms[begin:]) + begin, *_losses(policy, dropped)}
    return Played(
        policy.name,
        len(trained),
        roles.promoted,
        float(past.seconds[trained].sum()),
        len(alarms),
        _mean(advantage),
        float(past.days[places][is_worse].sum()),
        float(np.nansum(past.worth[delays, models, places])),
        len(places),
        tuple(past.keys[n] for n in trained),
    )


def at_random(name: str, like: Played, past: ReplayedPast, random: np.random.Generator) -> Played:
    """A schedule with as many trainings as another policy had, after partitions that are drawn."""
    drawn = random.permutation(past.possible)[: like.trainings].tolist()
    return replace(play(RetrainingPolicy(name, ("never",)), past, at=drawn), alarms=0)


def _dropped(
    past: ReplayedPast, served: Mapping[int, Release], places: Sequence[int], policy: RetrainingPolicy
) -> dict[int, bool]:
    """Of the partitions whose outcomes came, whether the metric of the model that served dropped by more than the policy allows;
    without those where it is not defined."""
    drops = {}
    for then in places:
        model, at = served[then]
        drops[then] = float(past.promised[at - model, model] - past.advantage[at - model, model, then])
    return {then: drop > policy.max_drop for then, drop in drops.items() if np.isfinite(drop)}


def _mean(values: Floats) -> float:
    """Of the values that are defined."""
    known = values[np.isfinite(values)]
    return float(known.mean()) if known.size else float("nan")


def _losses(policy: RetrainingPolicy, dropped: Mapping[int, bool]) -> list[int]:
    """The partitions at which the metric had dropped in as many of the last ones as the policy says."""
    places = sorted(dropped)
    judged = [dropped[place] for place in places]
    return [
        place
        for number, place in enumerate(places)
        if judged[number] and sum(judged[max(0, number + 1 - policy.of) : number + 1]) >= policy.fails
    ]


def _asks(policy: RetrainingPolicy, state: _PolicyState, now: int, trained: int, sounded: Mapping[Word, Sequence[int]]) -> bool:
    """Whether the policy asks for the candidate whose training window ends with the partition `trained`: an alarm asks for the
    first one that is trained on the partition that sounded it, and a schedule once since the last training."""
    ticks, answered_ticks = (now - state.begun) // policy.every, (state.last - state.begun) // policy.every
    for word in policy.on:
        if word == "new_partition" or (word == "schedule" and ticks > answered_ticks):
            return True
        if any(state.answered[word] < place <= trained for place in sounded.get(word, ())):
            return True
    return False
