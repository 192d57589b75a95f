"""Calls of the API as JSON over HTTP."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

import httpx

from ._errors import SlotwiseError, error_of


class Transport:
    """Connection to a service. All its methods belong to one event loop."""

    def __init__(self, url: str, key: str | None, ca: str | None, connections: int) -> None:
        headers = {"authorization": f"Bearer {key}"} if key else {}
        limits = httpx.Limits(max_connections=connections, max_keepalive_connections=connections)
        verify: Any = True
        if ca is not None:
            import ssl

            verify = ssl.create_default_context(cafile=ca)
        # Deadlines are those of whole calls, so that httpx needs none of its own.
        self._client = httpx.AsyncClient(base_url=url, headers=headers, limits=limits, timeout=None, verify=verify)

    async def call(
        self, method: str, body: Mapping[str, Any], timeout: float, headers: Mapping[str, str] | None = None
    ) -> dict[str, Any]:
        """Calls a method and returns its answer, or raises SlotwiseError. `timeout` bounds the whole call, seconds."""
        # The service ends a call whose caller has gone.
        deadline = f"{min(max(int(timeout * 1000), 1), 99_999_999)}m"
        sent = {"grpc-timeout": deadline, **(headers or {})}
        try:
            answer = await asyncio.wait_for(self._client.post(f"/v1/{method}", json=body, headers=sent), timeout)
        except (asyncio.TimeoutError, TimeoutError):
            message = f"{method} took longer than {timeout} s"
            raise SlotwiseError(message, code="DEADLINE_EXCEEDED") from None
        except httpx.HTTPError as why:
            raise SlotwiseError(f"{method}: the service cannot be reached: {why!r}", code="UNAVAILABLE") from why
        try:
            json = answer.json()
        except ValueError:
            json = None
        if answer.status_code != 200:
            raise error_of(answer.status_code, json)
        if not isinstance(json, dict):
            raise SlotwiseError(f"{method}: the answer is no JSON; is this address Slotwise's?", code="UNAVAILABLE")
        return json

    async def close(self) -> None:
        """Closes the connections."""
        await self._client.aclose()
