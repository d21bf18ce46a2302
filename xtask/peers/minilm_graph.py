"""all-MiniLM-L6-v2 in f32 as an ONNX graph, from the safetensors of the published model.

The operators are those that ONNX Runtime's own optimizer makes of an exported graph: attention, the sum with its
layer norm, and the bias with its GELU are one operator each. Nothing else about the weights is changed. The output is
the mean over a text's positions, not normalised; all texts of a batch have one length, so nothing is masked.
"""

import json
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from safetensors.numpy import load_file

CONTRIB = "com.microsoft"


class Graph:
    """Collects operators and weights; each operator's output is named after it."""

    def __init__(self):
        self.nodes, self.weights = [], []

    def weight(self, name, value):
        self.weights.append(numpy_helper.from_array(np.ascontiguousarray(value), name))
        return name

    def op(self, kind, name, inputs, domain="", **attributes):
        self.nodes.append(helper.make_node(kind, inputs, [name], name=name, domain=domain, **attributes))
        return name


def linear(graph, weights, prefix, name, given):
    """The product alone; the bias goes into what follows. PyTorch keeps weights as [outputs, inputs]."""
    weight = graph.weight(f"{name}.weight", weights[f"{prefix}.weight"].T)
    return graph.op("MatMul", name, [given, weight]), graph.weight(f"{name}.bias", weights[f"{prefix}.bias"])


def norm(graph, weights, prefix, name, epsilon, given, skip, bias):
    gamma = graph.weight(f"{name}.gamma", weights[f"{prefix}.weight"])
    beta = graph.weight(f"{name}.beta", weights[f"{prefix}.bias"])
    return graph.op(
        "SkipLayerNormalization", name, [given, skip, gamma, beta, bias], CONTRIB, epsilon=epsilon
    )


def layer(graph, weights, number, config, state):
    here, name, epsilon = f"encoder.layer.{number}", f"layer{number}", config["layer_norm_eps"]
    parts = [f"{here}.attention.self.{part}" for part in ("query", "key", "value")]
    qkv = np.concatenate([weights[f"{part}.weight"].T for part in parts], axis=1)
    bias = np.concatenate([weights[f"{part}.bias"] for part in parts])
    attended = graph.op(
        "Attention",
        f"{name}.attention",
        [state, graph.weight(f"{name}.qkv", qkv), graph.weight(f"{name}.qkv.bias", bias)],
        CONTRIB,
        num_heads=config["num_attention_heads"],
    )
    out, bias = linear(graph, weights, f"{here}.attention.output.dense", f"{name}.out", attended)
    state = norm(graph, weights, f"{here}.attention.output.LayerNorm", f"{name}.norm1", epsilon, out, state, bias)
    up, bias = linear(graph, weights, f"{here}.intermediate.dense", f"{name}.up", state)
    wide = graph.op("BiasGelu", f"{name}.gelu", [up, bias], CONTRIB)
    down, bias = linear(graph, weights, f"{here}.output.dense", f"{name}.down", wide)
    return norm(graph, weights, f"{here}.output.LayerNorm", f"{name}.norm2", epsilon, down, state, bias)


def build(model: Path, out: Path):
    """Writes the graph of the model in the folder `model` to `out`."""
    config = json.loads((model / "config.json").read_text())
    weights = load_file(model / "model.safetensors")
    graph = Graph()
    words = graph.weight("words", weights["embeddings.word_embeddings.weight"])
    # Every token is of the first type.
    places = weights["embeddings.position_embeddings.weight"] + weights["embeddings.token_type_embeddings.weight"][0]
    graph.weight("places", places)
    for name, value in (("zero", 0), ("one", 1)):
        graph.weight(name, np.array([value], np.int64))
    shape = graph.op("Shape", "shape", ["input_ids"])
    length = graph.op("Gather", "length", [shape, "one"], axis=0)
    places = graph.op("Slice", "place", ["places", "zero", length, "zero"])
    word = graph.op("Gather", "word", [words, "input_ids"], axis=0)
    state = graph.op("Add", "placed", [word, places])
    gamma = graph.weight("norm.gamma", weights["embeddings.LayerNorm.weight"])
    beta = graph.weight("norm.beta", weights["embeddings.LayerNorm.bias"])
    epsilon = config["layer_norm_eps"]
    state = graph.op("LayerNormalization", "norm", [state, gamma, beta], epsilon=epsilon, axis=-1)
    for number in range(config["num_hidden_layers"]):
        state = layer(graph, weights, number, config, state)
    graph.op("ReduceMean", "embedding", [state, "one"], keepdims=0)
    ids = helper.make_tensor_value_info("input_ids", TensorProto.INT64, ["texts", "tokens"])
    embedding = helper.make_tensor_value_info("embedding", TensorProto.FLOAT, ["texts", config["hidden_size"]])
    whole = helper.make_graph(graph.nodes, "minilm", [ids], [embedding], graph.weights)
    versions = [helper.make_opsetid("", 18), helper.make_opsetid(CONTRIB, 1)]
    made = helper.make_model(whole, opset_imports=versions, ir_version=9)
    partial = out.with_suffix(".part")
    onnx.save(made, partial)
    partial.rename(out)
