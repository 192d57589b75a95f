"""The client for threads: the one for asyncio, on an event loop in a thread of its own."""

from __future__ import annotations

import asyncio
import atexit
import os
import threading
import weakref
from collections.abc import Coroutine, Iterable, Mapping, Sequence
from datetime import datetime
from types import TracebackType
from typing import Any, TypeVar

from ._client import CALL_TIMEOUT, CLOSE_TIMEOUT, CONNECTIONS, DECIDE_TIMEOUT, EVENTS, AsyncSlotwise
from ._events import DeliveryCounts, ResultObserver
from ._hooks import Hook
from ._model import Candidate, Decision, FeatureValue, RewardResult

T = TypeVar("T")


def _serve(loop: asyncio.AbstractEventLoop) -> None:
    """Runs an event loop until it is stopped."""
    try:
        loop.run_forever()
    finally:
        loop.close()


class Slotwise:
    """Client of a service, for programs with threads. Its arguments are those of :class:`AsyncSlotwise`.

    It may be shared among threads. A process that was forked gets connections of its own at its first call; events that waited
    at the fork stay with the parent.
    """

    def __init__(
        self,
        url: str,
        *,
        key: str | None = None,
        timeout: float = DECIDE_TIMEOUT,
        ca: str | None = None,
        events: int = EVENTS,
        connections: int = CONNECTIONS,
        on_result: ResultObserver | None = None,
        hooks: Sequence[Hook] = (),
    ) -> None:
        def create() -> AsyncSlotwise:
            return AsyncSlotwise(
                url,
                key=key,
                timeout=timeout,
                ca=ca,
                events=events,
                connections=connections,
                on_result=on_result,
                hooks=hooks,
            )

        self._create = create
        self._lock = threading.Lock()
        self._process = 0
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._client = create()
        self._is_closed = False
        _live.add(self)

    def __enter__(self) -> Slotwise:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _running(self) -> asyncio.AbstractEventLoop:
        if self._is_closed:
            raise RuntimeError("the client is closed")
        with self._lock:
            if self._loop is None or self._process != os.getpid():
                if self._process not in (0, os.getpid()):
                    # The threads and connections of the parent are not ours.
                    self._client = self._create()
                loop = asyncio.new_event_loop()
                self._thread = threading.Thread(target=_serve, args=(loop,), name="slotwise", daemon=True)
                self._thread.start()
                self._loop, self._process = loop, os.getpid()
            return self._loop

    def _run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        try:
            loop = self._running()
        except RuntimeError:
            coroutine.close()
            raise
        return asyncio.run_coroutine_threadsafe(coroutine, loop).result()

    def decide(
        self,
        slot: str,
        *,
        subject: str | None = None,
        session: str | None = None,
        context: Mapping[str, FeatureValue] | None = None,
        candidates: Iterable[str | Candidate] = (),
        count: int = 0,
        request_id: str | None = None,
        consent: str | None = None,
        timeout: float | None = None,
    ) -> Decision:
        """Decides which arms of a slot to show: see :meth:`AsyncSlotwise.decide`."""
        self._running()
        return self._run(
            self._client.decide(
                slot,
                subject=subject,
                session=session,
                context=context,
                candidates=candidates,
                count=count,
                request_id=request_id,
                consent=consent,
                timeout=timeout,
            )
        )

    request = staticmethod(AsyncSlotwise.request)

    def decide_page(
        self, requests: Sequence[Mapping[str, Any]], *, distinct_arms: bool = False, timeout: float | None = None
    ) -> list[Decision]:
        """Decides for all the slots of a page: see :meth:`AsyncSlotwise.decide_page`."""
        self._running()
        return self._run(self._client.decide_page(requests, distinct_arms=distinct_arms, timeout=timeout))

    def reward(
        self,
        decision: Decision | str,
        kind: str,
        *,
        value: float | None = None,
        arm: str | None = None,
        event_id: str | None = None,
        time: datetime | None = None,
    ) -> str | None:
        """Reports what the shopper did, without waiting for its delivery: see :meth:`AsyncSlotwise.reward`."""
        self._running()
        return self._run(
            self._client.reward(decision, kind, value=value, arm=arm, event_id=event_id, time=time)
        )

    def reward_subject(
        self,
        slot: str,
        arm: str,
        kind: str,
        *,
        subject: str | None = None,
        session: str | None = None,
        value: float | None = None,
        event_id: str | None = None,
        time: datetime | None = None,
    ) -> str | None:
        """Reports what a shopper did with an arm: see :meth:`AsyncSlotwise.reward_subject`."""
        self._running()
        return self._run(
            self._client.reward_subject(
                slot, arm, kind, subject=subject, session=session, value=value, event_id=event_id, time=time
            )
        )

    def record(self, events: Sequence[Mapping[str, Any]], *, timeout: float = CALL_TIMEOUT) -> list[RewardResult]:
        """Reports events now and returns their results: see :meth:`AsyncSlotwise.record`."""
        self._running()
        return self._run(self._client.record(events, timeout=timeout))

    def call(self, method: str, body: Mapping[str, Any], *, timeout: float = CALL_TIMEOUT) -> dict[str, Any]:
        """Calls any method of the API that does not stream, and returns its answer in its JSON form."""
        self._running()
        return self._run(self._client.call(method, body, timeout=timeout))

    def flush(self, timeout: float = CALL_TIMEOUT) -> bool:
        """Waits until all events were delivered. Returns ``False`` if some still wait after `timeout` seconds."""
        self._running()
        return self._run(self._client.flush(timeout))

    def counts(self) -> DeliveryCounts:
        """Returns the counts of events."""
        self._running()
        return self._run(self._client.counts())

    def close(self, timeout: float = CLOSE_TIMEOUT) -> None:
        """Delivers what waits for at most `timeout` seconds, and closes the connections."""
        if self._is_closed:
            return
        loop = self._loop
        if loop is not None and self._process == os.getpid():
            self._run(self._client.close(timeout))
            loop.call_soon_threadsafe(loop.stop)
            if self._thread is not None:
                self._thread.join(1.0)
        self._is_closed = True
        _live.discard(self)


#: Clients that are not closed yet.
_live: weakref.WeakSet[Slotwise] = weakref.WeakSet()


@atexit.register
def _close_all() -> None:
    """Delivers what waits when the program ends."""
    for client in list(_live):
        client.close(1.0)
