#!/usr/bin/env python3
"""Runs one round of Flower's SecAgg+ in one process, for the bench of secure sums, and times it.

  flower_peer.py --clients N --entries M --neighbours K [--dropout F]

K is N - 1 (everybody) or even: with any other K Flower's clients fail, as they cut one share too few. F of the clients
share their secrets and then vanish, asked for their masked vectors. Vectors are random within Flower's clipping range,
weights random up to its greatest weight, and all of its settings are its defaults, but for the threshold, which it has
none for. One line is printed:

  {"clients": N, "entries": M, "neighbours": K, "dropout": F,
   "client_cpu_s": CPU seconds of the clients, all stages, by N,
   "server_unmask_cpu_s": CPU seconds of the server from the shares' arrival to the unmasked mean,
   "server_other_cpu_s": CPU seconds of the server before, and of handing the mean to its strategy after,
   "bytes_up_per_client": bytes of the clients' replies, all stages, by N,
   "sum_ok": whether the mean is that of the vectors of those that stayed, but for quantisation,
   "version": Flower's}

Clients are `ClientApp`s with `secaggplus_mod`, the server is `SecAggPlusWorkflow`, both as shipped; only the grid is
ours. It hands messages over as protocol buffers, made by Flower's own code, and counts that as nobody's time.
"""

import argparse
import json
import logging
import random
import time
from collections import Counter
from importlib import metadata

import numpy as np
from flwr.app import ArrayRecord, ConfigRecord, Context, Error, Message, RecordDict
from flwr.client import NumPyClient
from flwr.client.mod import secaggplus_mod
from flwr.clientapp import ClientApp
from flwr.common import parameters_to_ndarrays
from flwr.common.constant import ErrorCode
from flwr.common.secure_aggregation.secaggplus_constants import RECORD_KEY_CONFIGS, Key, Stage
from flwr.common.serde import message_from_proto, message_to_proto
from flwr.compat.common.recorddict_compat import arrayrecord_to_parameters
from flwr.proto.message_pb2 import Message as Wire
from flwr.server import LegacyContext, SimpleClientManager
from flwr.server.compat.grid_client_proxy import GridClientProxy
from flwr.server.strategy import FedAvg
from flwr.server.workflow import SecAggPlusWorkflow
from flwr.server.workflow.constant import MAIN_CONFIGS_RECORD, MAIN_PARAMS_RECORD
from flwr.server.workflow.constant import Key as WorkflowKey
from flwr.serverapp import Grid
from flwr.supercore.task_identity import TaskIdentity

SEED = 1
RUN, SERVER = 1, 1
# Of the shares of a secret. Flower leaves it to the caller.
THRESHOLD = 2 / 3
# A client rounds to one of the two nearest steps, of values it has in f32.
STEPS_OFF = 1.5


def main():
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for option in ("--clients", "--entries", "--neighbours"):
        options.add_argument(option, type=int, required=True)
    options.add_argument("--dropout", type=float, default=0.0)
    asked = options.parse_args()
    everybody = asked.clients - 1
    if not 2 <= asked.neighbours <= everybody or (asked.neighbours % 2 and asked.neighbours != everybody):
        options.error("neighbours must be all other clients, or an even number from 2 on")
    if not 0 <= asked.dropout < 1:
        options.error("the dropout must be from 0 to below 1")
    logging.getLogger("flwr").setLevel(logging.ERROR)
    print(json.dumps(measure(asked)), flush=True)


def measure(asked):
    workflow = SecAggPlusWorkflow(num_shares=asked.neighbours + 1, reconstruction_threshold=THRESHOLD)
    rng = np.random.default_rng(SEED)
    random.seed(SEED)  # Flower seats its ring by this.
    # Ids of the size that Flower's are, which is why they are not 1 to N.
    ids = [int(node) for node in rng.integers(2**62, 2**63, asked.clients)]
    vectors = rng.uniform(-workflow.clipping_range, workflow.clipping_range, (asked.clients, asked.entries))
    vectors = dict(zip(ids, vectors.astype(np.float32)))
    weights = dict(zip(ids, (int(weight) for weight in rng.integers(1, int(workflow.max_weight) + 1, asked.clients))))
    gone = set(ids[: round(asked.dropout * asked.clients)])
    clock = Clock()
    grid = InProcess(clock, gone, {node: Trained(vectors[node], weights[node]) for node in ids})
    mean = run(workflow, grid, ids)
    return {
        "clients": asked.clients,
        "entries": asked.entries,
        "neighbours": asked.neighbours,
        "dropout": asked.dropout,
        "client_cpu_s": clock.spent["clients"] / asked.clients,
        "server_unmask_cpu_s": clock.spent["unmasking"],
        "server_other_cpu_s": clock.spent["server"],
        "bytes_up_per_client": grid.bytes_up / asked.clients,
        "sum_ok": right(workflow, mean, [(vectors[node], weights[node]) for node in ids if node not in gone]),
        "version": metadata.version("flwr"),
    }


def run(workflow, grid, ids):
    """One round, as Flower's `DefaultWorkflow` starts it, but that no model is sent to the clients."""
    TaskIdentity.run_id = RUN
    TaskIdentity.node_id = TaskIdentity.task_id = SERVER
    manager = SimpleClientManager()
    for node in ids:
        manager.register(GridClientProxy(node, grid, RUN))
    strategy = Timed(grid.clock, fraction_fit=1.0, min_fit_clients=len(ids), min_available_clients=len(ids))
    context = LegacyContext(context_of(SERVER), strategy=strategy, client_manager=manager)
    context.state.config_records[MAIN_CONFIGS_RECORD] = ConfigRecord({WorkflowKey.CURRENT_ROUND: 1})
    context.state.array_records[MAIN_PARAMS_RECORD] = ArrayRecord()
    grid.clock.charge("server")
    workflow(grid, context)
    grid.clock.charge("nobody")
    arrays = arrayrecord_to_parameters(context.state.array_records[MAIN_PARAMS_RECORD], keep_input=True)
    if not arrays.tensors:
        raise SystemExit("Flower halted the round")
    return parameters_to_ndarrays(arrays)[0]


def right(workflow, mean, stayed):
    # Flower rounds weights as well, but to steps so fine that their rounding is exact to redo.
    shares = [round(weight / workflow.max_weight * workflow.quantization_range) for _, weight in stayed]
    total = sum(shares) / workflow.quantization_range
    expected = sum(vector.astype(np.float64) * share for (vector, _), share in zip(stayed, shares)) / sum(shares)
    step = 2 * workflow.clipping_range / workflow.quantization_range
    allowed = STEPS_OFF * step * len(stayed) / total
    return bool(mean.shape == expected.shape and np.abs(mean - expected).max() <= allowed)


def context_of(node):
    return Context(run_id=RUN, node_id=node, node_config={}, state=RecordDict(), run_config={})


class Clock:
    """CPU seconds of all threads of this process, by whom they are charged to."""

    def __init__(self):
        self.spent, self.charged, self.since = Counter(), "nobody", time.process_time()

    def charge(self, whom):
        now = time.process_time()
        self.spent[self.charged] += now - self.since
        self.charged, self.since = whom, now


class Trained(NumPyClient):
    """A client that has its vector already."""

    def __init__(self, vector, weight):
        self.vector, self.weight = vector, weight
        self.app = ClientApp(client_fn=lambda context: self.to_client(), mods=[secaggplus_mod])

    def fit(self, parameters, config):
        return [self.vector], self.weight, {}


class Timed(FedAvg):
    """Averaging the mean with itself, once for each client, as Flower does in the end, is not unmasking."""

    def __init__(self, clock, **settings):
        super().__init__(**settings)
        self.clock = clock

    def aggregate_fit(self, *given):
        self.clock.charge("server")
        aggregated = super().aggregate_fit(*given)
        self.clock.charge("unmasking")
        return aggregated


class InProcess(Grid):
    """Hands each message to its client at once, and the reply back."""

    def __init__(self, clock, gone, clients):
        self.clock, self.gone, self.clients = clock, gone, clients
        self.contexts = {node: context_of(node) for node in clients}
        self.bytes_up = 0

    def send_and_receive(self, messages, *, timeout=None):
        self.clock.charge("nobody")
        stage = messages[0].content.config_records[RECORD_KEY_CONFIGS][Key.STAGE]
        replies = [self.answer(message, stage) for message in messages]
        self.clock.charge("unmasking" if stage == Stage.UNMASK else "server")
        return replies

    def answer(self, message, stage):
        node = message.metadata.dst_node_id
        if stage == Stage.COLLECT_MASKED_VECTORS and node in self.gone:
            return Message(Error(ErrorCode.NODE_UNAVAILABLE), reply_to=message)
        received, _ = carried(message)
        self.clock.charge("clients")
        reply = self.clients[node].app(received, self.contexts[node])
        self.clock.charge("nobody")
        reply, size = carried(reply)
        self.bytes_up += size
        return reply

    def get_node_ids(self):
        return list(self.clients)

    def set_run(self, run):
        raise NotImplementedError

    @property
    def run(self):
        raise NotImplementedError

    def create_message(self, *given):
        raise NotImplementedError

    def push_messages(self, messages):
        raise NotImplementedError

    def pull_messages(self, message_ids):
        raise NotImplementedError


def carried(message):
    """The message as the other side reads it, and its size in bytes."""
    sent = message_to_proto(message).SerializeToString()
    return message_from_proto(Wire.FromString(sent)), len(sent)


if __name__ == "__main__":
    main()
