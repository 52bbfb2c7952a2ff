"""Turns at the event loop, for what the agents of one process do that can wait."""

import asyncio
import time
from collections import deque
from collections.abc import Callable
from types import TracebackType

SHARE = 0.25
"""The largest share of the loop's time that all turns take together."""
AT_ONCE = 2
"""Turns, and so passes in one iteration of the loop: while other work holds it, turns are still to come by."""
LONGEST_TURN_SECONDS = 1.0
"""The next turn waits no longer for one that is not over: whoever has it is waiting for a host or a server."""


class Turn:
    """A place in the queue, and the turn itself once it has come. It is entered for what it is for: if that is done
    before the turn has come, there is none."""

    def __init__(self, turns: "Turns", begin: Callable[[], None]) -> None:
        self._turns = turns
        self._entered_at = self._began = 0.0
        self.begin = begin

    def __enter__(self) -> None:
        self._turns.withdraw(self)
        self._entered_at = asyncio.get_running_loop().time()
        self._began = self._turns.clock()

    def __exit__(
        self, _type: type[BaseException] | None, _error: BaseException | None, _at: TracebackType | None
    ) -> None:
        self._turns.end(self, self._entered_at, self._turns.clock() - self._began)

    def cancel(self) -> None:
        """Leaves the turn to others."""
        with self:
            pass


class _Lane:
    """Where turns follow one another."""

    def __init__(self) -> None:
        self.taken: Turn | None = None
        self.taken_at = 0.0
        self.next: asyncio.TimerHandle | None = None
        """Gives the next turn, after a rest or because the present one lasts too long."""


class Turns:
    """Gives turns, two at a time and first come first served, and leaves the loop to others three times as long as all
    turns take.

    Hundreds of simulated hosts' agents never wait for anything: without turns, those that are woken together take their
    passes in one iteration of the loop. With more of them each turn comes later, and finds more to do at once. An agent
    that is alone in its process has its turn at once.
    """

    def __init__(self, clock: Callable[[], float] = time.thread_time) -> None:
        self.clock = clock
        """Counts the loop's own work: who waits for a server, or for a thread, takes nothing from anybody."""
        self.registration = asyncio.Lock()
        """Held by the agent that registers: those of one process are started together, and none of them waits for
        anything, so without it all of them register in one iteration of the loop."""
        self._waiting: deque[Turn] = deque()
        self._lanes = [_Lane() for _ in range(AT_ONCE)]

    def ask(self, begin: Callable[[], None]) -> Turn:
        """Calls `begin` when the turn has come."""
        turn = Turn(self, begin)
        self._waiting.append(turn)
        for lane in self._lanes:
            if lane.next is None:
                self._give_after(lane, 0.0)
                break
        return turn

    def withdraw(self, turn: Turn) -> None:
        """Takes the turn out of the queue, unless it has come."""
        if turn in self._waiting:
            self._waiting.remove(turn)

    def end(self, turn: Turn, entered_at: float, spent_seconds: float) -> None:
        """`entered_at` on the loop's clock; `spent_seconds` by `clock`."""
        for lane in self._lanes:
            if lane.taken is turn:
                lane.taken = None
                # Others had a busy loop to themselves from when the turn was given until it was entered.
                rest = spent_seconds * (AT_ONCE / SHARE - 1) - (entered_at - lane.taken_at)
                if rest <= 0.0 and self._waiting:
                    self._give(lane)
                else:
                    self._give_after(lane, max(rest, 0.0))

    def _give_after(self, lane: _Lane, seconds: float) -> None:
        if lane.next is not None:
            lane.next.cancel()
        lane.next = asyncio.get_running_loop().call_later(seconds, self._give, lane)

    def _give(self, lane: _Lane) -> None:
        if lane.next is not None:
            lane.next.cancel()
            lane.next = None
        if self._waiting:
            lane.taken, lane.taken_at = self._waiting.popleft(), asyncio.get_running_loop().time()
            self._give_after(lane, LONGEST_TURN_SECONDS)
            lane.taken.begin()
