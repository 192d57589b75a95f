"""A real service for a module of tests, on loopback, in a folder of its own.

SLOTWISE names the program (default target/debug/slotwise).
"""

import json
import os
import re
import shutil
import subprocess
import tempfile
import time
import urllib.error
import urllib.request
from pathlib import Path

PROGRAM = os.environ.get("SLOTWISE", str(Path(__file__).parents[2] / "target/debug/slotwise"))


class Service:
    """A running service."""

    def __init__(self, data=None, ports=("127.0.0.1:0", "127.0.0.1:0")):
        """Starts a service, in the folder of another one if it is given, and waits until it is ready."""
        self.folder = data or tempfile.mkdtemp(prefix="slotwise-clients-")
        addresses = ["--grpc-address", ports[0], "--http-address", ports[1]]
        command = [PROGRAM, "serve", *addresses, "--shutdown-delay", "0s", "--data", f"{self.folder}/data"]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        found = re.search(r"HTTP on ([0-9.:]+)", self.process.stdout.readline())
        if not found:
            raise RuntimeError("the service did not start")
        self.url = f"http://{found[1]}"
        for _ in range(400):
            try:
                urllib.request.urlopen(f"{self.url}/readyz", timeout=5)
                return
            except urllib.error.URLError:
                time.sleep(0.025)
        raise RuntimeError("the service is not ready")

    def call(self, method, body):
        """Calls a method of the API and returns its answer."""
        headers = {"content-type": "application/json"}
        request = urllib.request.Request(f"{self.url}/v1/{method}", json.dumps(body).encode(), headers)
        with urllib.request.urlopen(request, timeout=20) as answer:
            return json.load(answer)

    def create(self, **slot):
        """Creates a slot without a holdout."""
        self.call("CreateSlot", {"slot": {"controls": {"holdout": 0}, **slot}})

    def report(self, slot):
        """Returns a slot's report."""
        return self.call("GetSlotReport", {"slotId": slot})["report"]

    def until_counts(self, slot, decisions, rewards):
        """Waits until a slot has that many decisions and rewards. Decisions are applied after they were answered."""
        for _ in range(400):
            report = self.report(slot)
            counts = (int(report.get("decisions", 0)), int(report.get("rewards", 0)))
            if counts == (decisions, rewards):
                return
            time.sleep(0.025)
        raise AssertionError(f"{slot} has {counts}, not {(decisions, rewards)}")

    def end(self):
        """Ends the process and keeps its folder."""
        self.process.terminate()
        self.process.wait()
        self.process.stdout.close()

    def stop(self):
        """Ends the process and removes its folder."""
        self.end()
        shutil.rmtree(self.folder, ignore_errors=True)
