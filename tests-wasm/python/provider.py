"""The Python provider with this module and with its own: the same answers, and the time of an evaluation.

Usage: provider.py MODULE
"""

import json
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from gofeatureflag_python_provider.options import EvaluationType, GoFeatureFlagOptions
from gofeatureflag_python_provider.provider import GoFeatureFlagProvider
from openfeature import api
from openfeature.evaluation_context import EvaluationContext

FLAGS = {
    "static": {"variations": {"on": True, "off": False}, "defaultRule": {"variation": "on"}},
    "disabled": {"variations": {"on": True}, "defaultRule": {"variation": "on"}, "disable": True},
    "rule": {
        "variations": {"fr": "bonjour", "other": "hello"},
        "targeting": [{"name": "french", "query": 'country eq "FR"', "variation": "fr"}],
        "defaultRule": {"variation": "other"},
        "metadata": {"owner": "web"},
    },
    "split": {
        "variations": {"a": 1, "b": 2, "c": 3},
        "defaultRule": {"percentage": {"a": 20, "b": 30, "c": 50}},
    },
    "logic": {
        "variations": {"yes": 1.5, "no": 2.5},
        "targeting": [{"query": '{"and": [{">": [{"var": "age"}, 40]}, {"==": [{"var": "plan"}, "pro"]}]}', "variation": "yes"}],
        "defaultRule": {"variation": "no"},
    },
    "object": {
        "variations": {"dark": {"background": "black", "contrast": 1.5}},
        "defaultRule": {"variation": "dark"},
    },
    "broken": {"variations": {"on": True}, "defaultRule": {"variation": "missing"}},
}
DEFAULTS = {"rule": "default", "split": 0, "logic": 0.0, "object": {}}
USERS = 300
ROUNDS = 20


class RelayProxy(BaseHTTPRequestHandler):
    """As much of a relay proxy as evaluation in process needs."""

    def do_POST(self):
        self.rfile.read(int(self.headers["Content-Length"]))
        body = json.dumps({"flags": FLAGS, "evaluationContextEnrichment": {"env": "test"}}).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


def evaluated(client, context):
    """The details of every flag, and of one that does not exist."""
    details = []
    for key in [*FLAGS, "no-such-flag"]:
        default = DEFAULTS.get(key, False)
        ask = {bool: client.get_boolean_details, str: client.get_string_details, int: client.get_integer_details,
               float: client.get_float_details, dict: client.get_object_details}[type(default)]
        it = ask(key, default, context)
        details.append((key, it.value, it.variant, str(it.reason), str(it.error_code), it.flag_metadata))
    return details


def run(endpoint, module):
    """The answers for every user, and the microseconds of an evaluation."""
    options = GoFeatureFlagOptions(
        endpoint=endpoint,
        evaluation_type=EvaluationType.INPROCESS,
        disable_data_collection=True,
        wasm_file_path=module,
    )
    name = module or "official"
    api.set_provider_and_wait(GoFeatureFlagProvider(options=options), name)
    client = api.get_client(name)
    contexts = [
        EvaluationContext(f"user-{user}", {"country": ["FR", "DE"][user % 2], "age": user % 80, "plan": "pro"})
        for user in range(USERS)
    ]
    answers = [evaluated(client, context) for context in contexts]
    best = float("inf")
    for _ in range(ROUNDS):
        start = time.perf_counter()
        for context in contexts:
            client.get_string_details("rule", "default", context)
        best = min(best, (time.perf_counter() - start) / USERS * 1e6)
    return answers, best


def main():
    server = ThreadingHTTPServer(("127.0.0.1", 0), RelayProxy)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    endpoint = f"http://127.0.0.1:{server.server_port}"
    official, official_time = run(endpoint, None)
    ours, time_ = run(endpoint, sys.argv[1])
    api.shutdown()
    server.shutdown()
    reasons = {detail[3] for details in official for detail in details}
    assert {"STATIC", "TARGETING_MATCH", "SPLIT", "DISABLED", "DEFAULT", "ERROR"} <= {it.split(".")[-1] for it in reasons}, reasons
    for user, (expected, answer) in enumerate(zip(official, ours)):
        assert answer == expected, f"user-{user}: {answer} instead of {expected}"
    print(f"the Python provider: {len(ours) * len(ours[0])} equal answers; an evaluation of a flag with one rule takes "
          f"{official_time:.0f} µs with the official module, {time_:.0f} µs with this one")


if __name__ == "__main__":
    main()
