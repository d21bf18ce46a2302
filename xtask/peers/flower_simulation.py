"""Flower's simulation engine: clients that learn the mean of what they see, for some rounds of FedAvg, in the clear or by SecAgg+.

Prints one line of JSON: seconds of each round, CPU seconds and the most memory (proportional set size) of this process and all that it starts.
"""

import argparse
import json
import os
import threading
import time
from pathlib import Path

import numpy as np
from flwr.client import NumPyClient
from flwr.client.mod import secaggplus_mod
from flwr.clientapp import ClientApp
from flwr.common import ndarrays_to_parameters
from flwr.server import LegacyContext, ServerApp, ServerConfig
from flwr.server.strategy import FedAvg
from flwr.server.workflow import DefaultWorkflow, SecAggPlusWorkflow
from flwr.simulation import run_simulation

RATE = 0.3
STEPS = 1


class Mean(NumPyClient):
    """Half the squared distance from a point of its own: a step goes a part of the way there."""

    def __init__(self, number, values):
        signs = np.random.default_rng(number).integers(0, 2, values, dtype=np.int8)
        self.point = ((2 * signs - 1) / np.sqrt(values)).astype(np.float32)

    def fit(self, parameters, config):
        now = parameters[0]
        for _ in range(STEPS):
            now = now - RATE * (now - self.point)
        return [now], 1, {}


class Timed(FedAvg):
    def __init__(self, ends, **settings):
        super().__init__(**settings)
        self.ends = ends

    def aggregate_fit(self, number, results, failures):
        made = super().aggregate_fit(number, results, failures)
        self.ends.append((time.time(), len(results)))
        return made


def processes(root):
    """This process and all that come of it."""
    parents = {}
    for path in Path("/proc").iterdir():
        if path.name.isdigit():
            try:
                stat = (path / "stat").read_text()
                parents[int(path.name)] = (int(stat.rsplit(")", 1)[1].split()[1]), stat)
            except OSError:
                continue
    found = {root}
    grown = True
    while grown:
        more = {pid for pid, (parent, _) in parents.items() if parent in found} - found
        found |= more
        grown = bool(more)
    return {pid: parents[pid][1] for pid in found if pid in parents}


class Watch(threading.Thread):
    """Looks twice a second at how much memory and CPU time is used."""

    def __init__(self):
        super().__init__(daemon=True)
        self.peak, self.cpu = 0, {}
        self.over = threading.Event()

    def run(self):
        tick = os.sysconf("SC_CLK_TCK")
        while not self.over.wait(0.5):
            total = 0
            for pid, stat in processes(os.getpid()).items():
                fields = stat.rsplit(")", 1)[1].split()
                self.cpu[pid] = (int(fields[11]) + int(fields[12])) / tick
                try:
                    for line in (Path("/proc") / str(pid) / "smaps_rollup").read_text().splitlines():
                        if line.startswith("Pss:"):
                            total += int(line.split()[1])
                except OSError:
                    continue
            self.peak = max(self.peak, total)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--clients", type=int, required=True)
    parser.add_argument("--values", type=int, required=True)
    parser.add_argument("--rounds", type=int, required=True)
    parser.add_argument("--secure", action="store_true")
    asked = parser.parse_args()
    ends, begun = [], []

    server = ServerApp()

    @server.main()
    def serve(grid, context):
        strategy = Timed(
            ends,
            fraction_fit=1.0,
            fraction_evaluate=0.0,
            min_fit_clients=asked.clients,
            min_available_clients=asked.clients,
            initial_parameters=ndarrays_to_parameters([np.zeros(asked.values, np.float32)]),
        )
        legacy = LegacyContext(context=context, config=ServerConfig(num_rounds=asked.rounds), strategy=strategy)
        secure = SecAggPlusWorkflow(num_shares=asked.clients, reconstruction_threshold=2 / 3) if asked.secure else None
        begun.append(time.time())
        DefaultWorkflow(fit_workflow=secure)(grid, legacy)

    def make(context):
        return Mean(int(context.node_config["partition-id"]), asked.values).to_client()

    client = ClientApp(client_fn=make, mods=[secaggplus_mod] if asked.secure else [])
    watch = Watch()
    watch.start()
    started = time.time()
    run_simulation(
        server_app=server,
        client_app=client,
        num_supernodes=asked.clients,
        backend_config={"client_resources": {"num_cpus": 1, "num_gpus": 0.0}},
    )
    wall = time.time() - started
    watch.over.set()
    watch.join()
    times = [begun[0]] + [at for at, _ in ends]
    print(
        json.dumps(
            {
                "rounds_s": [after - before for before, after in zip(times, times[1:])],
                "clients": [count for _, count in ends],
                "wall_s": wall,
                "cpu_s": sum(watch.cpu.values()),
                "peak_mib": watch.peak / 1024,
            }
        ),
        flush=True,
    )


if __name__ == "__main__":
    main()
