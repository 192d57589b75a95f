"""Client of Slotwise: decisions within a deadline, and events that are delivered later.

    from slotwise import Slotwise

    with Slotwise("http://127.0.0.1:8080") as slotwise:
        decision = slotwise.decide("offers", subject="customer-17", candidates=["gift-wrap", "free-shipping"])
        slotwise.reward(decision, "click")

``AsyncSlotwise`` has the same calls for asyncio.
"""

from ._client import AsyncSlotwise
from ._errors import SlotwiseError
from ._events import DeliveryCounts
from ._hooks import CallObserver, Hook
from ._model import Candidate, ChosenArm, Decision, FeatureValue, RewardResult
from ._sync import Slotwise

__all__ = [
    "AsyncSlotwise",
    "CallObserver",
    "Candidate",
    "ChosenArm",
    "Decision",
    "DeliveryCounts",
    "FeatureValue",
    "Hook",
    "RewardResult",
    "Slotwise",
    "SlotwiseError",
]

__version__ = "0.1.0"
