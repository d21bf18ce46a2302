"""Trains LoRA on pairs of texts, as torch_peer.py does, for a number of steps. What training took is written to the log.

PyTorch is imported where it is needed only: Flower starts a process for every message, and most of them train nothing.
"""

import json
import random
import time
from pathlib import Path

from flwr.client import NumPyClient
from flwr.client.mod import secaggplus_mod
from flwr.clientapp import ClientApp
from flwr.common.secure_aggregation.secaggplus_constants import RECORD_KEY_CONFIGS

from .task import TARGETS, note

TOKENS = 128
TEMPERATURE = 0.05


class Trained(NumPyClient):
    def __init__(self, config, pairs):
        self.config, self.pairs = config, pairs

    def fit(self, parameters, config):
        begun, used = time.time(), time.process_time()
        values, count = train(self.config, self.pairs, parameters, int(config["round"]))
        note(
            self.config["log"],
            kind="trained",
            pairs=self.pairs,
            round=int(config["round"]),
            seconds=time.time() - begun,
            cpu_s=time.process_time() - used,
        )
        return values, count, {}


def train(config, file, values, number):
    import peft
    import torch
    from tokenizers import Tokenizer
    from transformers import BertModel

    torch.set_num_threads(1)
    model = Path(config["model"])
    pairs = [json.loads(line) for line in open(file)]
    random.Random(number).shuffle(pairs)
    rank = int(config["rank"])
    lora = peft.LoraConfig(
        r=rank, lora_alpha=2 * rank, lora_dropout=0.0, target_modules=list(TARGETS), task_type="FEATURE_EXTRACTION"
    )
    bert = peft.get_peft_model(BertModel.from_pretrained(model, add_pooling_layer=False), lora)
    moving = [parameter for parameter in bert.parameters() if parameter.requires_grad]
    with torch.no_grad():
        for parameter, value in zip(moving, values, strict=True):
            parameter.copy_(torch.from_numpy(value))
    tokenizer = Tokenizer.from_file(str(model / "tokenizer.json"))
    tokenizer.enable_truncation(TOKENS)
    tokenizer.enable_padding()
    optimizer = torch.optim.AdamW(moving, lr=float(config["rate"]), weight_decay=0.0)
    bert.train()
    batch = int(config["batch"])
    for step in range(int(config["steps"])):
        some = pairs[step * batch : (step + 1) * batch]
        if len(some) < 2:
            break
        anchors, positives = (unit(bert, tokenizer, [pair[side] for pair in some]) for side in ("anchor", "positive"))
        scores = anchors @ positives.T / TEMPERATURE
        right = torch.arange(len(scores))
        loss = (torch.nn.functional.cross_entropy(scores, right) + torch.nn.functional.cross_entropy(scores.T, right)) / 2
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return [parameter.detach().numpy() for parameter in moving], min(len(pairs), 1_000)


def unit(model, tokenizer, texts):
    import torch

    encoded = tokenizer.encode_batch(texts)
    ids = torch.tensor([text.ids for text in encoded])
    mask = torch.tensor([text.attention_mask for text in encoded])
    states = model(input_ids=ids, attention_mask=mask).last_hidden_state
    weights = mask.unsqueeze(-1)
    return torch.nn.functional.normalize((states * weights).sum(1) / weights.sum(1), dim=1)


def secure(message, context, call_next):
    """SecAgg+ for those messages that are its own."""
    if RECORD_KEY_CONFIGS in message.content.config_records:
        return secaggplus_mod(message, context, call_next)
    return call_next(message, context)


app = ClientApp(
    client_fn=lambda context: Trained(context.run_config, context.node_config["pairs"]).to_client(), mods=[secure]
)
