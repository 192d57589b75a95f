"""Delivery of events: in batches, again and again until the service took them, in bounded memory."""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from ._errors import SlotwiseError
from ._hooks import Hook, Observers
from ._model import RewardResult
from ._transport import Transport

log = logging.getLogger("slotwise")

#: Events of one call: few enough that a call is short.
BATCH = 500
#: Time between the first event of a batch and its call, seconds.
LINGER = 0.1
#: Time that a call may take, seconds.
CALL_TIMEOUT = 10.0
#: Shortest and longest wait before another try, seconds.
BACKOFF = (0.1, 10.0)

#: Function that learns of each event and its result.
ResultObserver = Callable[[dict[str, Any], RewardResult], None]


@dataclass
class DeliveryCounts:
    """Counts of events.

    Attributes:
        delivered: Events that the service took, duplicates included.
        refused: Events that the service answered with another status. They are logged.
        dropped: Events that were given up: the memory was full, the client was closed, or the call was refused for good.
        waiting: Events that wait for their delivery.
    """

    delivered: int = 0
    refused: int = 0
    dropped: int = 0
    waiting: int = 0


class EventQueue:
    """Events that wait for their delivery. All its methods belong to one event loop."""

    def __init__(
        self, transport: Transport, hooks: Sequence[Hook], capacity: int, observer: ResultObserver | None
    ) -> None:
        self._transport = transport
        self._hooks = hooks
        self._capacity = capacity
        self._observer = observer
        self._events: deque[dict[str, Any]] = deque()
        self._counts = DeliveryCounts()
        # Number of events that a call is about.
        self._sending = 0
        self._wake = asyncio.Event()
        self._hurry = asyncio.Event()
        self._idle = asyncio.Event()
        self._idle.set()
        self._warned = 0.0
        self._task = asyncio.get_running_loop().create_task(self._deliver())

    def counts(self) -> DeliveryCounts:
        """Returns the counts so far."""
        counts = self._counts
        waiting = len(self._events) + self._sending
        return DeliveryCounts(counts.delivered, counts.refused, counts.dropped, waiting)

    def add(self, event: dict[str, Any]) -> bool:
        """Takes an event, or drops it and returns ``False`` if too many wait."""
        if len(self._events) + self._sending >= self._capacity:
            self._drop(1, f"{self._capacity} events wait for the service")
            return False
        self._events.append(event)
        self._idle.clear()
        self._wake.set()
        if len(self._events) >= BATCH:
            self._hurry.set()
        return True

    async def flush(self, timeout: float) -> bool:
        """Waits until every event was delivered. Returns ``False`` if some still wait after `timeout` seconds."""
        self._hurry.set()
        try:
            await asyncio.wait_for(self._idle.wait(), timeout)
        except (asyncio.TimeoutError, TimeoutError):
            return False
        return True

    async def close(self, timeout: float) -> None:
        """Delivers what waits for at most `timeout` seconds, and drops the rest."""
        await self.flush(timeout)
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)
        left = len(self._events) + self._sending
        if left:
            self._drop(left, "the client was closed")
        self._events.clear()
        self._sending = 0

    async def _deliver(self) -> None:
        while True:
            await self._wake.wait()
            try:
                await asyncio.wait_for(self._hurry.wait(), LINGER)
            except (asyncio.TimeoutError, TimeoutError):
                pass
            self._hurry.clear()
            batch = [self._events.popleft() for _ in range(min(BATCH, len(self._events)))]
            self._sending = len(batch)
            await self._send(batch)
            self._sending = 0
            if not self._events:
                self._wake.clear()
                self._idle.set()

    async def _send(self, batch: list[dict[str, Any]]) -> None:
        """Sends a batch until it is taken. The ids of the events make a repetition harmless."""
        backoff = BACKOFF[0]
        while True:
            try:
                with Observers(self._hooks, "RecordRewards", []) as observers:
                    try:
                        answer = await self._transport.call(
                            "RecordRewards", {"events": batch}, CALL_TIMEOUT, observers.headers()
                        )
                    except SlotwiseError as why:
                        observers.failed(why)
                        raise
            except SlotwiseError as why:
                if not why.retryable:
                    self._drop(len(batch), str(why))
                    return
                wait = why.retry_after if why.retry_after is not None else backoff
                # Clients that failed together do not come back together.
                await asyncio.sleep(min(wait, BACKOFF[1]) * random.uniform(0.75, 1.25))
                backoff = min(2 * backoff, BACKOFF[1])
                continue
            results = answer.get("results", [])
            for event, result in zip(batch, results):
                self._take_result(event, RewardResult(result.get("status", ""), result.get("message", "")))
            return

    def _take_result(self, event: dict[str, Any], result: RewardResult) -> None:
        if result.status in ("REWARD_STATUS_ACCEPTED", "REWARD_STATUS_DUPLICATE"):
            self._counts.delivered += 1
        else:
            self._counts.refused += 1
            log.warning("event %s: %s: %s", event["eventId"], result.status, result.message)
        if self._observer is not None:
            try:
                self._observer(event, result)
            except Exception:
                log.exception("the observer of results failed")

    def _drop(self, count: int, why: str) -> None:
        self._counts.dropped += count
        now = time.monotonic()
        # One line in ten seconds says enough.
        if now - self._warned >= 10 or self._warned == 0.0:
            self._warned = now
            log.warning("%d events were dropped, %d so far: %s", count, self._counts.dropped, why)
