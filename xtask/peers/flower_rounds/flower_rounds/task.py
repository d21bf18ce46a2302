"""What server and clients agree on: the values that move, and where times are written."""

import json
import os

LAYERS, WIDTH = 6, 384
TARGETS = ("query", "value")


def shapes(rank):
    """Of the low-rank factors, in the order that peft names them."""
    return [shape for _ in range(LAYERS) for _ in TARGETS for shape in ((rank, WIDTH), (WIDTH, rank))]


def note(log, **entry):
    """Appends a line of JSON to a file of this process's own, so that processes do not write into each other's."""
    with open(os.path.join(log, f"{os.getpid()}.jsonl"), "a") as file:
        file.write(json.dumps(entry) + "\n")
