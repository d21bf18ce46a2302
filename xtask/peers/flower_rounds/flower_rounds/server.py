"""FedAvg, with SecAgg+ if `secure`. Every round's beginning and end is written to the log."""

import time

import numpy as np
from flwr.common import ndarrays_to_parameters, parameters_to_ndarrays
from flwr.server import LegacyContext, ServerApp, ServerConfig
from flwr.server.strategy import FedAvg
from flwr.server.workflow import DefaultWorkflow, SecAggPlusWorkflow

from .task import note, shapes

app = ServerApp()
# Shares that recover a secret: two thirds, as of ours.
THRESHOLD = 2 / 3


@app.main()
def main(grid, context):
    config = context.run_config
    clients, log = int(config["clients"]), config["log"]
    rng = np.random.default_rng(0)
    bound = (3 / shapes(config["rank"])[0][1]) ** 0.5
    factors = [
        rng.uniform(-bound, bound, shape) if number % 2 == 0 else np.zeros(shape)
        for number, shape in enumerate(shapes(config["rank"]))
    ]
    strategy = Timed(
        log,
        fraction_fit=1.0,
        fraction_evaluate=0.0,
        min_fit_clients=clients,
        min_available_clients=clients,
        initial_parameters=ndarrays_to_parameters([factor.astype(np.float32) for factor in factors]),
        on_fit_config_fn=lambda number: {"round": number},
    )
    legacy = LegacyContext(
        context=context, config=ServerConfig(num_rounds=int(config["rounds"])), strategy=strategy
    )
    secure = SecAggPlusWorkflow(num_shares=clients, reconstruction_threshold=THRESHOLD) if config["secure"] else None
    # Waiting for the clients to be there is no part of a round.
    while len(list(grid.get_node_ids())) < clients:
        time.sleep(0.2)
    note(log, kind="begin", at=time.time())
    DefaultWorkflow(fit_workflow=secure)(grid, legacy)


class Timed(FedAvg):
    def __init__(self, log, **settings):
        super().__init__(**settings)
        self.log = log

    def aggregate_fit(self, number, results, failures):
        made = super().aggregate_fit(number, results, failures)
        norm = 0.0
        if made[0] is not None:
            norm = sum(float((array**2).sum()) for array in parameters_to_ndarrays(made[0])) ** 0.5
        note(self.log, kind="round", round=number, at=time.time(), clients=len(results), failures=len(failures), norm=norm)
        return made
