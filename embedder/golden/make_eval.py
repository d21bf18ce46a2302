#!/usr/bin/env python3
"""Write eval.json: judgements, runs, and what pytrec_eval and ir_measures make of them.

Made once, in a fresh virtual environment, with
    pip install pytrec_eval-terrier==0.5.11 ir_measures==0.4.3
    python make_eval.py > eval.json

Values of single queries are pytrec_eval's, which is trec_eval's own code; the values of `means` are
ir_measures', over all judged queries whether a run answers them or not. Reciprocal rank at k is pytrec_eval's
recip_rank, or 0 where that rank is beyond k: ir_measures has RR@k from another program, which orders equal scores
otherwise, so the two are only compared where no scores are equal. Everything is written here or generated from
a fixed seed.
"""
import json
import random
import sys
from importlib.metadata import version

import ir_measures
import pytrec_eval
from ir_measures import RR, R, nDCG

KS = [1, 3, 10, 100]


def hand_made():
    """Queries that each have something to get wrong: judgements and results of one system."""
    return {
        "plain": ({"a": 1, "b": 2, "c": 3}, {"b": 0.9, "x": 0.8, "c": 0.7, "a": 0.6}),
        "ties": ({"b": 1, "d": 2}, {"a": 1.0, "b": 1.0, "c": 1.0, "d": 1.0, "e": 1.0}),
        "ties-at-the-cut": ({"k": 1, "a": 1}, {id: 0.5 for id in "abcdefghijkl"}),
        "ties-of-words": ({"ab": 1, "Z": 1, "é": 2}, {"a": 2.0, "ab": 2.0, "b": 2.0, "Z": 2.0, "é": 2.0, "z": 2.0}),
        # Apart in double precision, equal in single, which is what trec_eval compares.
        "ties-in-single": ({"a": 1}, {"a": 0.1234567890, "b": 0.1234567889, "c": 0.1234567888}),
        "ties-of-zeros": ({"a": 1}, {"a": 0.0, "b": -0.0, "c": -1.0}),
        "negative-scores": ({"b": 1}, {"a": -3.5, "b": -0.25, "c": -1e-20}),
        "huge-scores": ({"b": 1}, {"a": 1e30, "b": 3e38, "c": 1e-40}),
        "unjudged": ({"a": 1}, {"x": 3.0, "y": 2.0, "z": 1.0}),
        "zero-grades": ({"a": 0, "b": 0, "c": 1}, {"a": 3.0, "b": 2.0, "c": 1.0}),
        "negative-grades": ({"a": -1, "b": 2, "c": -2, "d": 1}, {"a": 4.0, "b": 3.0, "c": 2.0, "d": 1.0}),
        "no-relevant": ({"a": 0, "b": -1}, {"a": 2.0, "b": 1.0, "c": 0.5}),
        "short": ({id: 1 for id in "abcdefgh"}, {"c": 1.0}),
        "large-grades": ({"a": 100, "b": 1, "c": 7}, {"b": 3.0, "c": 2.0, "a": 1.0}),
        "not-answered": ({"a": 1}, None),
        "answered-with-nothing": ({"a": 2, "b": 1}, {}),
        "not-judged": (None, {"a": 1.0}),
    }


def random_query(rng):
    documents = [f"d{n}" for n in range(160)]
    grades = {id: rng.choice([-1, 0, 0, 1, 1, 2, 3]) for id in rng.sample(documents, rng.randint(1, 14))}
    # Few different scores, so that many are equal.
    steps = rng.choice([3, 10, 1000])
    found = rng.sample(documents, rng.choice([0, 2, 8, 40]))
    found += [id for id in list(grades)[: rng.randint(0, 6)] if id not in found]
    rng.shuffle(found)
    return grades, {id: rng.randint(0, steps) / steps for id in found}


def main():
    rng = random.Random(20261128)
    queries = hand_made()
    queries |= {f"random-{n}": random_query(rng) for n in range(24)}
    judgements = {query: grades for query, (grades, _) in queries.items() if grades is not None}
    run = {query: hits for query, (_, hits) in queries.items() if hits is not None}

    names = {f"{measure}.{','.join(map(str, KS))}" for measure in ("ndcg_cut", "recall")} | {"recip_rank"}
    single = pytrec_eval.RelevanceEvaluator(judgements, names).evaluate(run)
    expected = {}
    for query, values in single.items():
        first = values["recip_rank"]
        cut = {k: first if first and round(1 / first) <= k else 0.0 for k in KS}
        rows = {str(k): [values[f"ndcg_cut_{k}"], values[f"recall_{k}"], cut[k]] for k in KS}
        expected[query] = rows | {"recip_rank": first}
    apart = {query: hits for query, hits in run.items() if len(set(hits.values())) == len(hits)}
    for metric in ir_measures.iter_calc([RR @ k for k in KS], judgements, apart):
        if metric.query_id in apart.keys() & expected.keys() - {"ties-in-single"}:
            cut = expected[metric.query_id][str(metric.measure.params["cutoff"])][2]
            assert abs(cut - metric.value) < 1e-9, metric

    mean = ir_measures.calc_aggregate([measure @ k for measure in (nDCG, R) for k in KS] + [RR], judgements, run)
    first = {k: sum(rows[str(k)][2] for rows in expected.values()) / len(judgements) for k in KS}
    means = {str(k): [mean[nDCG @ k], mean[R @ k], first[k]] for k in KS} | {"recip_rank": mean[RR]}

    versions = {name: version(name) for name in ("pytrec_eval-terrier", "ir_measures")}
    sys.stdout.write('{"versions": ' + json.dumps(versions) + ',\n"means": ' + json.dumps(means) + ',\n"queries": {\n')
    rows = []
    for query, (grades, hits) in queries.items():
        row = {"grades": grades, "hits": hits, "expected": expected.get(query)}
        rows.append(f"{json.dumps(query)}: {json.dumps(row, ensure_ascii=True)}")
    sys.stdout.write(",\n".join(rows) + "\n}}\n")


if __name__ == "__main__":
    main()
