"""Values of calls, and their JSON form."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Union

#: Value of a feature: a number, a word, a flag, several words, or a small vector.
FeatureValue = Union[bool, float, int, str, Sequence[str], Sequence[float]]


@dataclass(frozen=True)
class Candidate:
    """Arm that a request allows, with features of its own in this request."""

    arm_id: str
    features: Mapping[str, FeatureValue] = field(default_factory=dict)


@dataclass(frozen=True)
class ChosenArm:
    """Arm to show.

    Attributes:
        position: Place in the slate; 1 is the first.
        propensity: Probability with which the arm took its place; 0 in a decision of the client's own.
        expected_reward: Expected reward in this context, in the goal's units.
        reason: Reason why the arm stands here, such as ``REASON_EXPLORING``.
        payload: Content that the slot has for the arm.
    """

    arm_id: str
    position: int
    propensity: float = 0.0
    expected_reward: float = 0.0
    reason: str = ""
    payload: Mapping[str, Any] | None = None


@dataclass(frozen=True)
class Decision:
    """Decision of the service, or of the client if the service gave none in time.

    Attributes:
        decision_id: Id that rewards name; empty if the client decided.
        arms: Arms to show, best first.
        holdout: ``True`` if the subject belongs to the holdout and got the baseline.
        exploring: ``True`` if at least one position is not the best guess.
        fallback: Reason why no model decided, such as ``FALLBACK_SAFE_CHOICE``; ``CLIENT`` if the client decided; empty
            if a model did.
        error: Error for which the client decided, or ``None``.
    """

    slot_id: str
    decision_id: str
    arms: tuple[ChosenArm, ...]
    holdout: bool = False
    exploring: bool = False
    fallback: str = ""
    revision: int = 0
    model: str = ""
    error: Exception | None = None

    @property
    def arm(self) -> str | None:
        """Id of the first arm, or ``None`` if there is none to show."""
        return self.arms[0].arm_id if self.arms else None

    @property
    def is_from_client(self) -> bool:
        """``True`` if the client decided, because the service gave no answer in time."""
        return self.error is not None


@dataclass(frozen=True)
class RewardResult:
    """Result of an event: its status, such as ``REWARD_STATUS_ACCEPTED``, and what to do about it."""

    status: str
    message: str = ""


def encode_feature(name: str, value: FeatureValue) -> dict[str, Any]:
    """Returns the JSON form of a feature's value."""
    # A flag is an integer in Python, so it is looked for first.
    if isinstance(value, bool):
        return {"flag": value}
    if isinstance(value, (int, float)):
        return {"number": float(value)}
    if isinstance(value, str):
        return {"text": value}
    values = list(value)
    if all(isinstance(one, str) for one in values):
        return {"texts": {"values": values}}
    if all(isinstance(one, (int, float)) and not isinstance(one, bool) for one in values):
        return {"vector": {"values": values}}
    raise TypeError(f"the feature '{name}' is neither a number, a text or a flag, nor a list of texts or numbers")


def encode_features(features: Mapping[str, FeatureValue] | None) -> dict[str, Any]:
    """Returns the JSON form of features. One without a value is left out."""
    given = (features or {}).items()
    return {name: encode_feature(name, value) for name, value in given if value is not None}


def encode_subject(subject: str | None, session: str | None) -> dict[str, str]:
    """Returns the JSON form of a subject."""
    return {**({"id": subject} if subject else {}), **({"sessionId": session} if session else {})}


def encode_candidates(candidates: Iterable[str | Candidate]) -> list[dict[str, Any]]:
    """Returns the JSON form of candidates."""

    def encode(candidate: str | Candidate) -> dict[str, Any]:
        if isinstance(candidate, str):
            return {"armId": candidate}
        return {"armId": candidate.arm_id, "features": encode_features(candidate.features)}

    return [encode(candidate) for candidate in candidates]


def encode_time(time: datetime) -> str:
    """Returns the JSON form of a time, which must say its zone."""
    if time.tzinfo is None:
        raise ValueError("time: has no zone; give one, as in datetime.now(timezone.utc)")
    return time.isoformat()


def decode_decision(slot_id: str, answer: Mapping[str, Any]) -> Decision:
    """Returns the decision of an answer. Fields at their default are not in it."""
    arms = tuple(
        ChosenArm(
            arm_id=arm["armId"],
            position=arm.get("position", 0),
            propensity=arm.get("propensity", 0.0),
            expected_reward=arm.get("expectedReward", 0.0),
            reason=arm.get("reason", ""),
            payload=arm.get("payload"),
        )
        for arm in answer.get("arms", [])
    )
    return Decision(
        slot_id=slot_id,
        decision_id=answer.get("decisionId", ""),
        arms=arms,
        holdout=answer.get("holdout", False),
        exploring=answer.get("exploring", False),
        fallback=answer.get("fallback", ""),
        revision=int(answer.get("revision", 0)),
        model=answer.get("model", ""),
    )


def own_decision(request: Mapping[str, Any], error: Exception) -> Decision:
    """Returns the client's decision for a request: the candidates in the caller's order."""
    candidates = request.get("candidates", [])
    count = request.get("count") or len(candidates)
    arms = tuple(
        ChosenArm(arm_id=candidate["armId"], position=place, reason="REASON_FALLBACK")
        for place, candidate in enumerate(candidates[:count], 1)
    )
    return Decision(slot_id=request["slotId"], decision_id="", arms=arms, fallback="CLIENT", error=error)
