#!/usr/bin/env python3
"""Google's dp-accounting and OpenDP's exact sampler, for the bench of privacy.

Reads one JSON line: {"cases": [{"sampling": q, "noise": z, "rounds": t, "delta": d}, ...], "noise": [{"sigma": s, "entries": n}, ...]}
Prints one: {"accounting": [{"rdp": epsilon, "pld": epsilon}, ...], "noise": [CPU seconds, ...], "versions": {package: version}}
"""

import json
import sys
import time
from importlib import metadata

import dp_accounting
import opendp.prelude as opendp
from dp_accounting.pld import pld_privacy_accountant
from dp_accounting.rdp import rdp_privacy_accountant

# How finely privacy losses are counted.
STEP = 1e-4
PASSES = 3


def epsilons(case):
    gaussian = dp_accounting.GaussianDpEvent(case["noise"])
    rate = case["sampling"]
    event = gaussian if rate == 1 else dp_accounting.PoissonSampledDpEvent(rate, gaussian)
    rdp = rdp_privacy_accountant.RdpAccountant()
    pld = pld_privacy_accountant.PLDAccountant(value_discretization_interval=STEP)
    for accountant in (rdp, pld):
        accountant.compose(event, case["rounds"])
    return {"rdp": rdp.get_epsilon(case["delta"]), "pld": pld.get_epsilon(case["delta"])}


def noise(case):
    domain = opendp.vector_domain(opendp.atom_domain(T=int))
    mechanism = opendp.m.make_gaussian(domain, opendp.l2_distance(T=float), scale=case["sigma"])
    zeros = [0] * case["entries"]
    best = float("inf")
    for _ in range(PASSES):
        before = time.process_time()
        mechanism(zeros)
        best = min(best, time.process_time() - before)
    return best


def main():
    asked = json.loads(sys.stdin.readline())
    opendp.enable_features("contrib", "honest-but-curious")
    answer = {
        "accounting": [epsilons(case) for case in asked["cases"]],
        "noise": [noise(case) for case in asked["noise"]],
        "versions": {name: metadata.version(name) for name in ("dp-accounting", "opendp")},
    }
    print(json.dumps(answer))


if __name__ == "__main__":
    main()
