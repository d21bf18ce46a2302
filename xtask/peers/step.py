"""One step of one row, in a process of its own: build an index, or open it and search."""

import json
import time
from pathlib import Path

from data import K, load, load_truth, recall
from measure import build, files, memory_mb, sweep


def lines(path):
    with Path(path).open(encoding="utf-8") as file:
        return [json.loads(line) for line in file]


def run(peer, step, options):
    """The step's numbers, as a dictionary."""
    vectors_from = options["vectors"], options["dim"]
    folder = Path(options["folder"])
    if step == "build":
        vectors = load(*vectors_from)
        inputs = (vectors, lines(options["chunks"])) if peer.needs_text else (vectors,)
        return build(peer, str(folder), options["threads"], *inputs)
    return search(peer, folder, vectors_from, options)


def search(peer, folder, vectors_from, options):
    queries = load(options["queries"], options["dim"])
    truth = load_truth(options["truth"])
    # Counted without the queries' few rows: what an open index and its searches hold.
    before = memory_mb("VmRSS")
    count = min(options["limit"] or len(queries), len(queries))
    if peer.few:
        count = min(options["few"] or peer.few, count)
    questions = queries[:count]
    if peer.needs_text:
        questions = [line["query"] for line in lines(options["questions"])[:count]]
    start = time.perf_counter()
    peer.open(str(folder), options["n"], queries.shape[1])
    open_ms = (time.perf_counter() - start) * 1e3
    points, answers = sweep(peer, questions, K)
    peak = memory_mb() + peer.servers_mb()
    peer.close()
    # Only now are the vectors read: they are for scoring, and no part of the peer's memory.
    vectors = load(*vectors_from)
    for point, found in zip(points, answers):
        point["recall"] = recall(found, truth[:count], vectors, queries[:count])
    found = files(folder)
    total = sum(found.values())
    return {
        "points": points,
        "open_ms": open_ms,
        "peak_mb": peak,
        "before_mb": before,
        "index_bytes": found.get(peer.index_file, total),
        "folder_bytes": total,
        "files": found,
    }
