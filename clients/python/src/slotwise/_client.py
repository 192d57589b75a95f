"""The client for asyncio."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timezone
from types import TracebackType
from typing import Any

from ._errors import SlotwiseError
from ._events import DeliveryCounts, EventQueue, ResultObserver
from ._hooks import Hook, Observers
from ._model import (
    Candidate,
    Decision,
    FeatureValue,
    RewardResult,
    decode_decision,
    encode_candidates,
    encode_features,
    encode_subject,
    encode_time,
    own_decision,
)
from ._transport import Transport

#: Time that a decision may take, seconds: what a page can wait for.
DECIDE_TIMEOUT = 0.25
#: Time that another call may take, seconds.
CALL_TIMEOUT = 10.0
#: Events that may wait for their delivery: some ten megabytes.
EVENTS = 10_000
#: Connections to the service.
CONNECTIONS = 32
#: Time that closing waits for the delivery of events, seconds.
CLOSE_TIMEOUT = 5.0


class AsyncSlotwise:
    """Client of a service.

    Args:
        url: Address of the service's HTTP port, as in ``http://127.0.0.1:8080``.
        key: Key of the service, or ``None`` if it asks for none.
        timeout: Time that a decision may take, seconds. After it the client decides: the candidates in the caller's order.
        ca: File of the authority of the service's certificate, or ``None`` for those of the system.
        events: Greatest number of events that wait for their delivery. Further ones are dropped and counted.
        on_result: Function that learns of each delivered event and its result. It must not block.
        hooks: Observers of calls, such as ``slotwise.otel.OpenTelemetryHook()``.
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
        if not url.startswith(("http://", "https://")):
            raise ValueError(f"url: '{url}' must begin with http:// or https://")
        if timeout <= 0 or events < 1 or connections < 1:
            raise ValueError("timeout, events and connections must be above 0")
        self._url = url.rstrip("/")
        self._options = (key, ca, connections)
        self._timeout = timeout
        self._capacity = events
        self._on_result = on_result
        self._hooks = tuple(hooks)
        self._transport: Transport | None = None
        self._queue: EventQueue | None = None
        self._is_closed = False

    async def __aenter__(self) -> AsyncSlotwise:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    def _connected(self) -> Transport:
        if self._is_closed:
            raise RuntimeError("the client is closed")
        if self._transport is None:
            self._transport = Transport(self._url, *self._options)
        return self._transport

    def _events(self) -> EventQueue:
        if self._queue is None:
            self._queue = EventQueue(self._connected(), self._hooks, self._capacity, self._on_result)
        return self._queue

    async def decide(
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
        """Decides which arms of a slot to show.

        If the service cannot be reached, is overloaded or takes too long, the client decides: the candidates in the
        caller's order, with ``Decision.is_from_client``.

        Args:
            subject: Id of the customer.
            session: Id of the session.
            context: Features of the request.
            candidates: Arms that the request allows, in the caller's order, which is the baseline; empty for all.
            count: Number of arms to show; 0 for the slot's own.
            request_id: Id by which a repetition within ten minutes gets the same decision.
            consent: ``CONSENT_FULL``, ``CONSENT_SESSION_ONLY`` or ``CONSENT_NONE``; ``None`` for the slot's default.
            timeout: Time that the call may take, seconds; ``None`` for the client's own.

        Raises:
            SlotwiseError: The request is wrong: there is no such slot, a field is out of its range, the key is not taken.
        """
        request = self.request(
            slot,
            subject=subject,
            session=session,
            context=context,
            candidates=candidates,
            count=count,
            request_id=request_id,
            consent=consent,
        )
        with Observers(self._hooks, "Decide", [slot]) as observers:
            try:
                allowed = self._timeout if timeout is None else timeout
                answer = await self._connected().call("Decide", request, allowed, observers.headers())
                decision = decode_decision(slot, answer)
            except SlotwiseError as why:
                observers.failed(why)
                if not why.retryable and why.code != "INTERNAL":
                    raise
                decision = own_decision(request, why)
            observers.decided(decision)
            return decision

    async def decide_page(
        self, requests: Sequence[Mapping[str, Any]], *, distinct_arms: bool = False, timeout: float | None = None
    ) -> list[Decision]:
        """Decides for all the slots of a page, in order, in one call.

        Args:
            requests: Requests that :meth:`request` made.
            distinct_arms: ``True`` if no two of them may show the same arm.

        A request in error gets a decision of the client, whose ``error`` says why.

        Raises:
            SlotwiseError: The call itself is wrong.
        """
        with Observers(self._hooks, "BatchDecide", [request["slotId"] for request in requests]) as observers:
            body = {"requests": list(requests), "distinctArms": distinct_arms}
            try:
                allowed = self._timeout if timeout is None else timeout
                answer = await self._connected().call("BatchDecide", body, allowed, observers.headers())
                decisions = [_result(request, result) for request, result in zip(requests, answer.get("results", []))]
            except SlotwiseError as why:
                observers.failed(why)
                if not why.retryable and why.code != "INTERNAL":
                    raise
                decisions = [own_decision(request, why) for request in requests]
            for decision in decisions:
                observers.decided(decision)
            return decisions

    @staticmethod
    def request(
        slot: str,
        *,
        subject: str | None = None,
        session: str | None = None,
        context: Mapping[str, FeatureValue] | None = None,
        candidates: Iterable[str | Candidate] = (),
        count: int = 0,
        request_id: str | None = None,
        consent: str | None = None,
    ) -> dict[str, Any]:
        """Returns a request for :meth:`decide_page`. Its arguments are those of :meth:`decide`."""
        request: dict[str, Any] = {"slotId": slot}
        optional = {
            "subject": encode_subject(subject, session),
            "context": encode_features(context),
            "candidates": encode_candidates(candidates),
            "count": count,
            "requestId": request_id,
            "consent": consent,
        }
        request.update({name: value for name, value in optional.items() if value})
        return request

    async def reward(
        self,
        decision: Decision | str,
        kind: str,
        *,
        value: float | None = None,
        arm: str | None = None,
        event_id: str | None = None,
        time: datetime | None = None,
    ) -> str | None:
        """Reports what the shopper did. The event is delivered later, in a batch, and again if need be.

        Args:
            decision: Decision, or its id, as a later request knows it.
            kind: Kind of the slot's goal, such as ``click``.
            value: Money or quantity.
            arm: Arm that it is about; ``None`` where the decision shows one.
            event_id: Id by which the event counts once; ``None`` for a new one.
            time: Time of the event, with its zone; ``None`` for now.

        Returns:
            The event's id, or ``None`` if the event is not sent: the client made the decision, or too many events wait.
        """
        decision_id = decision if isinstance(decision, str) else decision.decision_id
        if not decision_id:
            return None
        event: dict[str, Any] = {"decisionId": decision_id}
        return self._add(event, kind, value, arm, event_id, time)

    async def reward_subject(
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
        """Reports what a shopper did with an arm, where the decision's id is not known any more.

        The event joins the latest decision that showed the arm to the subject. The other arguments and the answer are those
        of :meth:`reward`.
        """
        event: dict[str, Any] = {"slotId": slot, "subject": encode_subject(subject, session)}
        return self._add(event, kind, value, arm, event_id, time)

    def _add(
        self,
        event: dict[str, Any],
        kind: str,
        value: float | None,
        arm: str | None,
        event_id: str | None,
        time: datetime | None,
    ) -> str | None:
        # The event is delivered later than it happens, so that it carries its own time.
        happened = encode_time(time or datetime.now(timezone.utc))
        event |= {"eventId": event_id or str(uuid.uuid4()), "kind": kind, "time": happened}
        if value is not None:
            event["value"] = value
        if arm is not None:
            event["armId"] = arm
        return str(event["eventId"]) if self._events().add(event) else None

    async def record(self, events: Sequence[Mapping[str, Any]], *, timeout: float = CALL_TIMEOUT) -> list[RewardResult]:
        """Reports events now and returns their results, in order. Events have the fields of the API's RewardEvent."""
        answer = await self.call("RecordRewards", {"events": list(events)}, timeout=timeout)
        return [RewardResult(one.get("status", ""), one.get("message", "")) for one in answer.get("results", [])]

    async def call(self, method: str, body: Mapping[str, Any], *, timeout: float = CALL_TIMEOUT) -> dict[str, Any]:
        """Calls any method of the API that does not stream, and returns its answer in its JSON form."""
        with Observers(self._hooks, method, []) as observers:
            try:
                return await self._connected().call(method, body, timeout, observers.headers())
            except SlotwiseError as why:
                observers.failed(why)
                raise

    async def flush(self, timeout: float = CALL_TIMEOUT) -> bool:
        """Waits until all events were delivered. Returns ``False`` if some still wait after `timeout` seconds."""
        return await self._queue.flush(timeout) if self._queue is not None else True

    async def counts(self) -> DeliveryCounts:
        """Returns the counts of events."""
        return self._queue.counts() if self._queue is not None else DeliveryCounts()

    async def close(self, timeout: float = CLOSE_TIMEOUT) -> None:
        """Delivers what waits for at most `timeout` seconds, and closes the connections."""
        self._is_closed = True
        if self._queue is not None:
            await self._queue.close(timeout)
        if self._transport is not None:
            await self._transport.close()
            self._transport = None


def _result(request: Mapping[str, Any], result: Mapping[str, Any]) -> Decision:
    """Returns the decision of a request of a page."""
    response = result.get("response")
    if response is not None:
        return decode_decision(request["slotId"], response)
    status = result.get("status", {})
    message = str(status.get("message", "the request has no result"))
    return own_decision(request, SlotwiseError(message, code=CODES.get(status.get("code", 2), "UNKNOWN")))


#: Names of the codes that a request of a page can have, by their numbers.
CODES = {3: "INVALID_ARGUMENT", 5: "NOT_FOUND", 7: "PERMISSION_DENIED", 8: "RESOURCE_EXHAUSTED", 9: "FAILED_PRECONDITION"}
