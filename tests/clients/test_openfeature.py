"""OpenFeature's own SDK for Python, with its OFREP provider, against a real service."""

import unittest

from openfeature import api
from openfeature.contrib.provider.ofrep import OFREPProvider
from openfeature.evaluation_context import EvaluationContext
from openfeature.exception import ErrorCode
from service import Service


class OpenFeatureTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.service = Service()
        cls.addClassCleanup(cls.service.stop)
        cls.service.create(slotId="colour", arms=[{"armId": "red"}, {"armId": "blue"}])
        cls.service.create(slotId="gift", arms=[{"armId": "on", "payload": {"value": True}}])
        cls.service.create(slotId="discount", arms=[{"armId": "ten", "payload": {"value": 10}}])
        cls.service.create(slotId="banner", arms=[{"armId": "a", "payload": {"title": "Hello"}}])
        api.set_provider(OFREPProvider(cls.service.url))
        cls.client = api.get_client()

    def test_values_of_every_type_and_each_is_a_decision(self):
        context = EvaluationContext("ann", {"device": "phone", "basket": {"value": 42.5}})
        colour = self.client.get_string_details("colour", "none", context)
        self.assertIn(colour.value, ("red", "blue"), colour)
        self.assertEqual((colour.variant, colour.reason), (colour.value, "SPLIT"))
        self.assertIsInstance(colour.flag_metadata["propensity"], float)
        told = self.service.call("ExplainDecision", {"decisionId": colour.flag_metadata["decisionId"]})
        self.assertEqual(told["subject"]["id"], "ann")
        self.assertEqual(told["context"]["basket.value"], {"number": 42.5})
        self.assertIs(self.client.get_boolean_value("gift", False, context), True)
        # A whole number has a point in the answer, or the provider would take it for no float.
        discount = self.client.get_float_details("discount", 0.0, context)
        self.assertEqual((discount.value, discount.error_code), (10.0, None))
        self.assertEqual(self.client.get_object_value("banner", {}), {"title": "Hello"})
        event = {"eventId": "e1", "decisionId": colour.flag_metadata["decisionId"], "kind": "click"}
        recorded = self.service.call("RecordRewards", {"events": [event]})
        self.assertEqual(recorded["results"][0]["status"], "REWARD_STATUS_ACCEPTED")
        self.service.until_counts("colour", 1, 1)

    def test_errors(self):
        unknown = self.client.get_string_details("colours", "default")
        self.assertEqual((unknown.value, unknown.error_code), ("default", ErrorCode.FLAG_NOT_FOUND))
        self.assertIn("did you mean 'colour'", unknown.error_message)
        wrong = self.client.get_string_details("gift", "default", EvaluationContext("ann", {"mixed": [1, "x"]}))
        self.assertEqual(wrong.error_code, ErrorCode.INVALID_CONTEXT)
        mistyped = self.client.get_boolean_details("banner", False)
        self.assertEqual(mistyped.error_code, ErrorCode.TYPE_MISMATCH)


if __name__ == "__main__":
    unittest.main()
