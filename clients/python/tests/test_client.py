"""The client against a real service, and against services that answer badly."""

import asyncio
import os
import re
import subprocess
import sys
import unittest
import warnings
from datetime import datetime
from pathlib import Path

from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from slotwise import AsyncSlotwise, Candidate, DeliveryCounts, Slotwise, SlotwiseError
from slotwise.otel import OpenTelemetryHook
from support import Service, dripping, forgetful, unused_address

#: Time that a call of these tests may take where it is to succeed, seconds.
PATIENCE = 20.0
ROOT = Path(__file__).parents[3]
CANDIDATES = ["gift-wrap", Candidate("free-shipping", {"price": 4.5}), "voucher"]


class ClientTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.service = Service()
        cls.addClassCleanup(lambda: cls.service.stop())
        arms = [{"armId": arm, "payload": {"title": arm}} for arm in ("gift-wrap", "free-shipping", "voucher")]
        for slot in ("offers", "banner", "shared", "retried", "restarted", "forked", "asynchronous"):
            cls.service.create(slotId=slot, arms=arms)

    def test_five_lines_decide_and_reward(self):
        with Slotwise(self.service.url, timeout=PATIENCE) as slotwise:
            decision = slotwise.decide("offers", subject="customer-17", candidates=CANDIDATES)
            slotwise.reward(decision, "click")
        self.assertFalse(decision.is_from_client, decision)
        self.assertEqual(decision.arms[0].payload, {"title": decision.arm})
        self.assertGreater(decision.arms[0].propensity, 0)
        self.service.until_counts("offers", 1, 1)

    def test_the_client_for_asyncio_has_the_same_calls(self):
        async def use():
            async with AsyncSlotwise(self.service.url, timeout=PATIENCE) as slotwise:
                decisions = await asyncio.gather(*(slotwise.decide("asynchronous") for _ in range(50)))
                for decision in decisions:
                    await slotwise.reward(decision, "click")
                self.assertTrue(await slotwise.flush(PATIENCE))
                return await slotwise.counts()

        self.assertEqual(asyncio.run(use()), DeliveryCounts(delivered=50))
        self.service.until_counts("asynchronous", 50, 50)

    def test_features_of_every_kind_arrive_and_a_page_is_one_call(self):
        results = []
        observer = lambda event, result: results.append((event["eventId"], result.status))  # noqa: E731
        with Slotwise(self.service.url, timeout=PATIENCE, on_result=observer) as slotwise:
            context = {"device": "phone", "age": 41, "gift": True, "tags": ["a", "b"], "place": [1.5, 2], "none": None}
            page = [
                slotwise.request("shared", subject="ann", session="s1", context=context, request_id="r1"),
                slotwise.request("banner"),
                slotwise.request("nowhere", candidates=CANDIDATES),
            ]
            shared, banner, nowhere = slotwise.decide_page(page, distinct_arms=True)
            self.assertNotEqual(shared.arm, banner.arm)
            self.assertEqual((nowhere.error.code, nowhere.arm), ("NOT_FOUND", "gift-wrap"))
            told = slotwise.call("ExplainDecision", {"decisionId": shared.decision_id})
            self.assertEqual(told["subject"], {"id": "ann", "sessionId": "s1"})
            want = {
                "device": {"text": "phone"},
                "age": {"number": 41},
                "gift": {"flag": True},
                "tags": {"texts": {"values": ["a", "b"]}},
                "place": {"vector": {"values": [1.5, 2]}},
            }
            self.assertEqual(told["context"], want)
            event = {"eventId": "s-1", "slotId": "shared", "subject": {"id": "ann"}, "armId": shared.arm}
            recorded = slotwise.record([{**event, "kind": "click"}])
            self.assertEqual(recorded[0].status, "REWARD_STATUS_ACCEPTED")
            slotwise.reward_subject("shared", shared.arm, "click", subject="ann", event_id="s-1")
            with self.assertLogs("slotwise", "WARNING") as logged:
                slotwise.reward_subject("shared", shared.arm, "click", subject="nobody", event_id="s-2")
                self.assertTrue(slotwise.flush(PATIENCE))
            self.assertIn("s-2: REWARD_STATUS_UNMATCHED", logged.output[0])
            self.assertEqual(slotwise.counts(), DeliveryCounts(delivered=1, refused=1))
        self.assertEqual(results, [("s-1", "REWARD_STATUS_DUPLICATE"), ("s-2", "REWARD_STATUS_UNMATCHED")])

    def test_a_wrong_request_is_an_error_with_its_fields(self):
        with Slotwise(self.service.url, timeout=PATIENCE) as slotwise:
            with self.assertRaises(SlotwiseError) as wrong:
                slotwise.decide("offer", candidates=CANDIDATES)
            error = wrong.exception
            self.assertEqual((error.code, error.reason, error.retryable), ("NOT_FOUND", "SLOT_NOT_FOUND", False))
            self.assertIn("did you mean 'offers'", error.fields["slot_id"])
            with self.assertRaisesRegex(TypeError, "the feature 'mixed'"):
                slotwise.decide("offers", context={"mixed": [1, "x"]})
            with self.assertRaisesRegex(ValueError, "has no zone"):
                slotwise.reward("some-decision", "click", time=datetime(2026, 1, 1))
        with self.assertRaisesRegex(ValueError, "must begin with http"):
            Slotwise("127.0.0.1:8080")
        with self.assertRaisesRegex(RuntimeError, "closed"):
            slotwise.decide("offers")

    def test_without_an_answer_in_time_the_client_decides_in_the_callers_order(self):
        with dripping() as slow:
            for url, code in ((slow.url, "DEADLINE_EXCEEDED"), (unused_address(), "UNAVAILABLE")):
                with Slotwise(url, timeout=0.1 if code == "DEADLINE_EXCEEDED" else PATIENCE) as slotwise:
                    decision = slotwise.decide("offers", candidates=CANDIDATES, count=2)
                    self.assertEqual((decision.error.code, decision.fallback), (code, "CLIENT"))
                    self.assertEqual([arm.arm_id for arm in decision.arms], ["gift-wrap", "free-shipping"])
                    self.assertIsNone(slotwise.decide("offers").arm)
                    page = [slotwise.request("offers", candidates=CANDIDATES), slotwise.request("banner")]
                    self.assertEqual([one.arm for one in slotwise.decide_page(page)], ["gift-wrap", None])
                    # The service knows nothing of this decision, so nothing is reported.
                    self.assertIsNone(slotwise.reward(decision, "click"))
                    self.assertEqual(slotwise.counts(), DeliveryCounts())

    def test_an_answer_that_is_lost_is_asked_for_again_and_each_event_counts_once(self):
        with forgetful(self.service, "RecordRewards", 2) as proxy:
            with Slotwise(proxy.url, key="secret", timeout=PATIENCE) as slotwise:
                for _ in range(3):
                    self.assertTrue(slotwise.reward(slotwise.decide("retried"), "click"))
                self.assertTrue(slotwise.flush(PATIENCE))
                self.assertEqual(slotwise.counts(), DeliveryCounts(delivered=3))
            self.assertEqual(proxy.lost, 2)
            self.assertEqual(proxy.headers["authorization"], "Bearer secret")
            self.assertRegex(proxy.headers["grpc-timeout"], r"^\d+m$")
        self.service.until_counts("retried", 3, 3)

    def test_events_wait_for_a_service_that_is_away_and_no_more_of_them_than_fit(self):
        # A service of its own, because others are in use by other tests.
        service = Service()
        self.addCleanup(lambda: service.stop())
        service.create(slotId="restarted", arms=[{"armId": "a"}])
        with Slotwise(service.url, timeout=PATIENCE, events=3) as slotwise:
            decision = slotwise.decide("restarted")
            service.end()
            with self.assertLogs("slotwise", "WARNING"):
                sent = [slotwise.reward(decision, "click", event_id=name) for name in "abcde"]
            self.assertEqual(sent, ["a", "b", "c", None, None])
            self.assertFalse(slotwise.flush(0.3))
            self.assertEqual(slotwise.counts(), DeliveryCounts(dropped=2, waiting=3))
            address = service.url.removeprefix("http://")
            service = Service(service.folder, ("127.0.0.1:0", address))
            self.assertTrue(slotwise.flush(PATIENCE))
            self.assertEqual(slotwise.counts(), DeliveryCounts(delivered=3, dropped=2))

    def test_closing_gives_up_what_cannot_be_delivered(self):
        with dripping() as slow:
            slotwise = Slotwise(slow.url)
            self.assertTrue(slotwise.reward("some-decision", "click"))
            with self.assertLogs("slotwise", "WARNING") as logged:
                slotwise.close(0.05)
            self.assertIn("1 events were dropped, 1 so far: the client was closed", logged.output[0])

    @unittest.skipUnless(hasattr(os, "fork"), "the system forks no processes")
    def test_a_forked_process_has_connections_of_its_own(self):
        with Slotwise(self.service.url, timeout=PATIENCE) as slotwise:
            slotwise.decide("forked")
            with warnings.catch_warnings():
                # Newer versions of Python warn of every fork beside threads.
                warnings.simplefilter("ignore", DeprecationWarning)
                child = os.fork()
            if child == 0:
                decision = slotwise.decide("forked")
                slotwise.reward(decision, "click")
                delivered = slotwise.flush(PATIENCE) and not decision.is_from_client
                os._exit(0 if delivered else 1)
            self.assertEqual(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), 0)
            self.assertFalse(slotwise.decide("forked").is_from_client)
        self.service.until_counts("forked", 3, 1)

    def test_a_hook_makes_spans_and_passes_the_trace_on(self):
        exporter = InMemorySpanExporter()
        provider = TracerProvider()
        provider.add_span_processor(SimpleSpanProcessor(exporter))
        tracer = provider.get_tracer("test")
        with forgetful(self.service) as proxy:
            with Slotwise(proxy.url, timeout=PATIENCE, hooks=[OpenTelemetryHook(tracer)]) as slotwise:
                with tracer.start_as_current_span("page") as page:
                    decision = slotwise.decide("shared")
                with self.assertRaises(SlotwiseError):
                    slotwise.decide("offer")
            first, _, second = exporter.get_finished_spans()
            self.assertEqual(first.name, "slotwise Decide")
            self.assertEqual(first.parent.span_id, page.get_span_context().span_id)
            self.assertEqual(first.attributes["slotwise.decision_id"], decision.decision_id)
            self.assertEqual(second.attributes["error.type"], "NOT_FOUND")
            context = second.get_span_context()
            want = f"00-{context.trace_id:032x}-{context.span_id:016x}-"
            self.assertTrue(proxy.headers["traceparent"].startswith(want), (proxy.headers, want))

    def test_the_examples_of_the_documents_run(self):
        count = 0
        for page in ("clients/python/README.md", "docs/engineers/clients.md"):
            text = (ROOT / page).read_text()
            for example in re.findall(r"```python\n(.*?)```", text, re.DOTALL):
                # The other examples are of other packages.
                if "slotwise import" not in example or "grpc" in example:
                    continue
                code = example.replace("http://127.0.0.1:8080", self.service.url)
                ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
                self.assertEqual((ran.returncode, ran.stderr), (0, ""), example)
                count += 1
        self.assertEqual(count, 4)


if __name__ == "__main__":
    unittest.main()
