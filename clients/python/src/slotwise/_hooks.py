"""Hooks into calls, for traces and metrics."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager, ExitStack
from typing import Protocol

from ._model import Decision


class CallObserver:
    """Observer of one call. Its methods do nothing unless they are overridden."""

    def headers(self) -> dict[str, str]:
        """Returns headers that are sent with the call."""
        return {}

    def decided(self, decision: Decision) -> None:
        """Is called with each decision, also with one that the client made."""

    def failed(self, error: Exception) -> None:
        """Is called with the error of the call, before the client decides in its place."""


class Hook(Protocol):
    """Something that observes calls."""

    def call(self, method: str, slots: Sequence[str]) -> AbstractContextManager[CallObserver]:
        """Returns what is entered before a call of a method about these slots and left after it."""
        ...


class Observers(ExitStack):
    """Observers of one call, one for each hook."""

    def __init__(self, hooks: Sequence[Hook], method: str, slots: Sequence[str]) -> None:
        super().__init__()
        self._observers = [self.enter_context(hook.call(method, slots)) for hook in hooks]

    def headers(self) -> dict[str, str]:
        """Returns the headers of all observers."""
        merged: dict[str, str] = {}
        for observer in self._observers:
            merged.update(observer.headers())
        return merged

    def decided(self, decision: Decision) -> None:
        """Passes a decision on."""
        for observer in self._observers:
            observer.decided(decision)

    def failed(self, error: Exception) -> None:
        """Passes an error on."""
        for observer in self._observers:
            observer.failed(error)
