"""Search of all states that real objects can reach, and of the way from each to the end."""

from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Iterator
from contextlib import AbstractContextManager
from math import inf
from typing import Final, Generic, TypeVar

S = TypeVar("S")
STEPS_MAX: Final = 1000
"""Steps within which a run ends if no further fault happens."""
_STEP_BITS: Final = 12


class Violation(Exception):  # noqa: N818 - a finding
    """A property does not hold."""


class Search(ABC, Generic[S]):
    """Depth-first search with exact keys of all states.

    From each state, the first of its normal steps leads to the end, within `STEPS_MAX` steps. The distance of a state
    is that of the next one and one more, so that this costs no additional steps.

    Attributes:
        visited: Distance of each state from the end by its key: steps, and milliseconds in the higher bits.
        longest_steps: Largest number of steps to the end.
        longest_s: Largest time to the end, s.
    """

    def __init__(self, initial: S) -> None:
        self.initial = initial
        self.visited: dict[int, int] = {}
        self.longest_steps = 0
        self.longest_s = 0.0

    @abstractmethod
    def limits(self) -> AbstractContextManager[None]:
        """Return a context in which the objects have the limits of the search."""

    @abstractmethod
    def key(self, state: S) -> int:
        """Return a number that no other state has."""

    @abstractmethod
    def normal(self, state: S) -> Iterator[tuple[str, S, int]]:
        """Yield the steps without faults: name, next state, duration in ms. The first leads to the end."""

    @abstractmethod
    def faulty(self, state: S) -> Iterator[tuple[str, S, int]]:
        """Yield the steps with a fault like `normal`."""

    @abstractmethod
    def is_end(self, state: S) -> bool:
        """Return True if nothing more is to be done in this state."""

    def run(self, states_max: float = inf) -> None:
        """Visit all states, at most about `states_max`.

        Raises:
            Violation: A property does not hold.
        """
        with self.limits():
            stack: list[S] = []
            self._continue(self.initial, stack)
            while stack and len(self.visited) < states_max:
                state = stack.pop()
                for steps in (self.normal(state), self.faulty(state)):
                    for _, after, _ in steps:
                        self._continue(after, stack)

    def shortest(self, states_max: float = inf) -> tuple[str, list[str]]:
        """Return the violation after the fewest steps, and the names of these steps; ("", []) if there is none."""
        with self.limits():
            parents: dict[int, tuple[int, str]] = {self.key(self.initial): (-1, "")}
            queue = deque([self.initial])
            while queue and len(parents) < states_max:
                state = queue.popleft()
                key, name = self.key(state), "?"
                try:
                    for steps in (self.normal(state), self.faulty(state)):
                        for name, after, _ in steps:
                            if self.key(after) not in parents:
                                parents[self.key(after)] = key, name
                                queue.append(after)
                                self._continue(after, [])
                except Exception as error:  # noqa: BLE001 - none may happen
                    trail = [name]
                    while key >= 0:
                        key, name = parents[key]
                        trail.append(name)
                    return f"{type(error).__name__}: {error}", trail[-2::-1]
        return "", []

    def _continue(self, state: S, stack: list[S]) -> None:
        """Follow the first normal steps to a known state or the end; note the distance of each state on the way."""
        visited = self.visited
        path = []
        while (distance := visited.get(key := self.key(state))) is None:
            stack.append(state)
            if self.is_end(state):
                distance = visited[key] = 0
                break
            visited[key] = -1
            following = next(self.normal(state), None)
            if following is None:
                raise Violation("waits for ever")
            _, state, duration_ms = following
            path.append((key, 1 + (duration_ms << _STEP_BITS)))
        if distance < 0:
            raise Violation("never ends without a further fault")
        for key, step in reversed(path):
            distance += step
            visited[key] = distance
        if distance & (1 << _STEP_BITS) - 1 > STEPS_MAX:
            raise Violation(f"ends after more than {STEPS_MAX} steps")
        self.longest_steps = max(self.longest_steps, distance & (1 << _STEP_BITS) - 1)
        self.longest_s = max(self.longest_s, (distance >> _STEP_BITS) / 1000.0)
