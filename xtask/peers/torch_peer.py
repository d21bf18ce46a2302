#!/usr/bin/env python3
"""Trains LoRA on all-MiniLM-L6-v2 with PyTorch and peft on one thread, for the embedder's bench.

  torch_peer.py --model FOLDER --texts FILE

The folder holds config.json, tokenizer.json and model.safetensors; FILE is {"pairs": [[ANCHOR, POSITIVE], ...], "compared":
[TEXT, ...], "positions": N}. Pairs that are trained on must be of N positions each, so that nothing is padded.
The first line printed is {"versions": {PACKAGE: VERSION}}. Then each line read is answered by one:

  {"steps": N}      ->  {"seconds": CPU seconds of a step, the least of N, "peak_mb": most memory the process has had}
  {"peft": FOLDER}  ->  {"vectors": unit vectors of the compared texts, by the adapter in the folder}
"""

import argparse
import json
import resource
import sys
import time
from importlib import metadata
from pathlib import Path

import peft
import torch
from tokenizers import Tokenizer
from transformers import BertModel

POSITIONS = 256
TEMPERATURE = 0.05


def main():
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for option in ("--model", "--texts"):
        options.add_argument(option, type=Path, required=True)
    options = options.parse_args()
    torch.set_num_threads(1)
    texts = json.loads(options.texts.read_text())
    tokenizer = Tokenizer.from_file(str(options.model / "tokenizer.json"))
    tokenizer.no_padding()
    tokenizer.enable_truncation(POSITIONS)
    versions = {name: metadata.version(name) for name in ("torch", "peft", "transformers")}
    emit({"versions": versions})
    trained = None
    for line in sys.stdin:
        asked = json.loads(line)
        if "peft" in asked:
            emit({"vectors": vectors(options.model, asked["peft"], tokenizer, texts["compared"])})
        else:
            trained = trained or Trained(options.model, tokenizer, texts)
            emit(trained.steps(asked["steps"]))


class Trained:
    """The model with low-rank updates of rank 8 on queries and values, and AdamW."""

    def __init__(self, model, tokenizer, texts):
        config = peft.LoraConfig(
            r=8, lora_alpha=16, lora_dropout=0.0, target_modules=["query", "value"], task_type="FEATURE_EXTRACTION"
        )
        self.model = peft.get_peft_model(BertModel.from_pretrained(model, add_pooling_layer=False), config)
        moving = [parameter for parameter in self.model.parameters() if parameter.requires_grad]
        self.optimizer = torch.optim.AdamW(moving, lr=2e-4, weight_decay=0.0)
        tokenizer.enable_truncation(texts["positions"])
        sides = ([tokenizer.encode(text).ids for text in side] for side in zip(*texts["pairs"]))
        self.anchors, self.positives = (torch.tensor(side) for side in sides)
        tokenizer.enable_truncation(POSITIONS)

    def step(self):
        self.optimizer.zero_grad()
        anchors, positives = (unit(self.model, side) for side in (self.anchors, self.positives))
        scores = anchors @ positives.T / TEMPERATURE
        right = torch.arange(len(scores))
        loss = (torch.nn.functional.cross_entropy(scores, right) + torch.nn.functional.cross_entropy(scores.T, right)) / 2
        loss.backward()
        self.optimizer.step()

    def steps(self, count):
        self.model.train()
        least = float("inf")
        for _ in range(count):
            start = time.process_time()
            self.step()
            least = min(least, time.process_time() - start)
        return {"seconds": least, "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024}


def vectors(model, adapter, tokenizer, texts):
    merged = peft.PeftModel.from_pretrained(BertModel.from_pretrained(model, add_pooling_layer=False), adapter).eval()
    with torch.no_grad():
        return [unit(merged, torch.tensor([tokenizer.encode(text).ids]))[0].tolist() for text in texts]


def unit(model, ids):
    states = model(input_ids=ids, attention_mask=torch.ones_like(ids)).last_hidden_state
    return torch.nn.functional.normalize(states.mean(1), dim=1)


def emit(value):
    print(json.dumps(value), flush=True)


if __name__ == "__main__":
    main()
