"""Errors of calls."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

#: Codes of errors that are not the caller's: the same call may succeed later.
RETRYABLE = frozenset({"UNAVAILABLE", "RESOURCE_EXHAUSTED", "DEADLINE_EXCEEDED", "UNKNOWN", "ABORTED", "CANCELLED"})


class SlotwiseError(Exception):
    """Error of a call.

    Attributes:
        code: Name of the error, such as ``INVALID_ARGUMENT``; ``UNAVAILABLE`` if the service could not be reached.
        reason: Reason for programs, such as ``SLOT_NOT_FOUND``; empty if there is none.
        fields: Description of what is wrong, by the path of the field.
        retry_after: Seconds after which the call may be tried again, or ``None`` if the service did not say.
    """

    def __init__(
        self,
        message: str,
        *,
        code: str,
        reason: str = "",
        fields: Mapping[str, str] | None = None,
        retry_after: float | None = None,
    ) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.reason = reason
        self.fields = dict(fields or {})
        self.retry_after = retry_after

    @property
    def retryable(self) -> bool:
        """``True`` if the same call may succeed later."""
        return self.code in RETRYABLE


def error_of(status: int, body: Any) -> SlotwiseError:
    """Returns the error of an answer, which is a problem of RFC 9457 if the service itself made it."""
    problem: Mapping[str, Any] = body if isinstance(body, dict) else {}
    # A proxy between the client and the service answers in its own form.
    by_status = {401: "UNAUTHENTICATED", 403: "PERMISSION_DENIED", 404: "NOT_FOUND", 429: "RESOURCE_EXHAUSTED"}
    code = problem.get("title") or by_status.get(status, "UNAVAILABLE" if status >= 500 else "INVALID_ARGUMENT")
    fields = {str(error.get("field", "")): str(error.get("detail", "")) for error in problem.get("errors", [])}
    wait = problem.get("retry_after_ms")
    return SlotwiseError(
        str(problem.get("detail") or f"the answer has the status {status}"),
        code=str(code),
        reason=str(problem.get("reason", "")),
        fields=fields,
        retry_after=wait / 1000 if isinstance(wait, (int, float)) else None,
    )
