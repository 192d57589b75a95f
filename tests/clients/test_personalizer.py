"""Personalizer's own client for Python against a real service. Only its endpoint differs."""

import unittest

from azure.cognitiveservices.personalizer import PersonalizerClient
from azure.cognitiveservices.personalizer.models import ErrorResponseException, RankableAction, RankRequest
from msrest.authentication import ApiKeyCredentials
from msrest.exceptions import HttpOperationError
from service import Service


class PersonalizerTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.service = Service()
        cls.addClassCleanup(cls.service.stop)
        goal = {"kinds": [{"kind": "reward", "weight": 1, "useValue": True}]}
        key = ApiKeyCredentials(in_headers={"Ocp-Apim-Subscription-Key": "none"})
        cls.clients = {}
        for slot in ("menu", "lunch", "dinner"):
            cls.service.create(slotId=slot, openCatalogue=True, goal=goal)
            cls.clients[slot] = PersonalizerClient(f"{cls.service.url}/slots/{slot}", key)
        cls.client, cls.other = cls.clients["menu"], cls.clients["lunch"]
        cls.actions = [
            RankableAction(id="pasta", features=[{"price": 9, "vegan": True}]),
            RankableAction(id="soup", features=[{"price": 5}]),
            RankableAction(id="cake", features=[]),
        ]

    def test_rank_reward_and_activate(self):
        request = RankRequest(
            actions=self.actions,
            context_features=[{"time": "morning"}, {"user": {"loyal": True}}],
            excluded_actions=["soup"],
            event_id="e-1",
        )
        ranked = self.client.rank(request)
        self.assertIn(ranked.reward_action_id, ("pasta", "cake"))
        self.assertEqual((ranked.event_id, len(ranked.ranking)), ("e-1", 3))
        self.assertAlmostEqual(sum(action.probability for action in ranked.ranking), 1.0, 9)
        self.assertEqual(self.client.rank(request).reward_action_id, ranked.reward_action_id)
        self.client.events.activate("e-1")
        self.client.events.reward("e-1", 0.5)
        self.client.events.reward("e-1", 0.5)
        self.service.until_counts("menu", 1, 1)

    def test_an_event_id_of_the_service(self):
        ranked = self.other.rank(RankRequest(actions=self.actions))
        self.other.events.reward(ranked.event_id, 1.0)
        self.service.until_counts("lunch", 1, 1)

    def test_a_deferred_rank_counts_once_it_is_activated(self):
        client = self.clients["dinner"]
        client.rank(RankRequest(actions=self.actions, event_id="d-1", defer_activation=True))
        client.rank(RankRequest(actions=self.actions, event_id="d-2", defer_activation=True))
        client.events.activate("d-2")
        client.events.reward("d-2", 1.0)
        # The activation is an accepted event too.
        self.service.until_counts("dinner", 1, 2)

    def test_errors(self):
        nested = [RankableAction(id="pasta", features=[{"sizes": [1, "large"]}])]
        with self.assertRaises(ErrorResponseException) as refused:
            self.client.rank(RankRequest(actions=nested, event_id="e-9"))
        self.assertEqual(refused.exception.error.error.code, "BadRequest")
        self.assertIn("'sizes' is a list", refused.exception.error.error.message)
        with self.assertRaises(HttpOperationError) as unknown:
            self.client.events.reward("never", 1.0)
        self.assertEqual(unknown.exception.response.status_code, 404)


if __name__ == "__main__":
    unittest.main()
