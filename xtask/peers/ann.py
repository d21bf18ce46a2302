"""Peers that are handed vectors: hnswlib, usearch, faiss, sqlite-vec and a plain scan."""

from pathlib import Path

import numpy as np
from peer import Peer

M = 16
EF_CONSTRUCTION = 200
# Examples for each of a code's 256 values; faiss takes four times as many, and trains for as much longer.
EXAMPLES = 64
EF = (10, 16, 32, 64, 128, 256, 512)


class Scan(Peer):
    name, variant, package = "numpy", "exact scan, f32", "numpy"

    def build(self, vectors, folder, threads):
        np.save(Path(folder) / "vectors.npy", vectors)

    def open(self, folder, n, dim):
        self.vectors = np.load(Path(folder) / "vectors.npy")

    def points(self):
        return ["exact"]

    def search(self, question, point, k):
        scores = self.vectors @ question
        best = np.argpartition(-scores, k)[:k]
        return best[np.argsort(-scores[best])]


class Hnswlib(Peer):
    name, variant, package = "hnswlib", f"M={M}, ef_construction={EF_CONSTRUCTION}, f32", "hnswlib"
    modules = ("hnswlib",)

    def build(self, vectors, folder, threads):
        import hnswlib

        index = hnswlib.Index(space="ip", dim=vectors.shape[1])
        index.init_index(max_elements=len(vectors), M=M, ef_construction=EF_CONSTRUCTION, random_seed=1)
        index.add_items(vectors, num_threads=threads)
        index.save_index(f"{folder}/index.bin")

    def open(self, folder, n, dim):
        import hnswlib

        self.index = hnswlib.Index(space="ip", dim=dim)
        self.index.load_index(f"{folder}/index.bin", max_elements=n)
        self.index.set_num_threads(1)

    def points(self):
        return list(EF)

    def label(self, point):
        return f"ef={point}"

    def search(self, question, point, k):
        self.index.set_ef(point)
        return self.index.knn_query(question, k=k, num_threads=1)[0][0]


class Usearch(Peer):
    name, package = "usearch", "usearch"
    modules = ("usearch.index",)

    def __init__(self, dtype):
        self.dtype = dtype
        self.variant = f"M={M}, expansion_add={EF_CONSTRUCTION}, {dtype}"

    def build(self, vectors, folder, threads):
        from usearch.index import Index

        index = Index(
            ndim=vectors.shape[1], metric="cos", dtype=self.dtype, connectivity=M, expansion_add=EF_CONSTRUCTION
        )
        index.add(np.arange(len(vectors)), vectors, threads=threads)
        index.save(f"{folder}/index.usearch")

    def open(self, folder, n, dim):
        from usearch.index import Index

        self.index = Index.restore(f"{folder}/index.usearch")

    def points(self):
        return list(EF)

    def label(self, point):
        return f"expansion_search={point}"

    def search(self, question, point, k):
        self.index.expansion_search = point
        return self.index.search(question, k, threads=1).keys


class FaissHnsw(Peer):
    name, package = "faiss", "faiss-cpu"
    modules = ("faiss",)
    variant = f"HNSW32, efConstruction={EF_CONSTRUCTION}, f32"

    def build(self, vectors, folder, threads):
        import faiss

        faiss.omp_set_num_threads(threads)
        index = faiss.IndexHNSWFlat(vectors.shape[1], 32, faiss.METRIC_INNER_PRODUCT)
        index.hnsw.efConstruction = EF_CONSTRUCTION
        index.add(vectors)
        faiss.write_index(index, f"{folder}/index.faiss")

    def open(self, folder, n, dim):
        import faiss

        faiss.omp_set_num_threads(1)
        self.index = faiss.read_index(f"{folder}/index.faiss")

    def points(self):
        return list(EF)

    def label(self, point):
        return f"efSearch={point}"

    def search(self, question, point, k):
        self.index.hnsw.efSearch = point
        return self.index.search(question[None], k)[1][0]


class FaissIvfPq(Peer):
    """Inverted lists of product-quantised residuals, the best R scored again with the vectors themselves."""

    name, package, index_file = "faiss", "faiss-cpu", "index.faiss"
    modules = ("faiss",)
    note = "index: lists and codes; folder: with the f32 vectors that re-ranking reads"

    def __init__(self, part):
        self.part = part
        self.variant = f"IVF-PQ, one byte for {part} dimensions"

    def build(self, vectors, folder, threads):
        import faiss

        faiss.omp_set_num_threads(threads)
        n, dim = vectors.shape
        # About four lists for each root of n, but enough examples to train each.
        lists = max(1, min(int(4 * n**0.5), n // 39))
        index = faiss.index_factory(dim, f"IVF{lists},PQ{dim // self.part}x8", faiss.METRIC_INNER_PRODUCT)
        index.pq.cp.max_points_per_centroid = EXAMPLES
        index.train(vectors)
        index.add(vectors)
        faiss.write_index(index, f"{folder}/{self.index_file}")
        np.save(Path(folder) / "vectors.npy", vectors)

    def open(self, folder, n, dim):
        import faiss

        faiss.omp_set_num_threads(1)
        self.index = faiss.read_index(f"{folder}/{self.index_file}")
        self.vectors = np.load(Path(folder) / "vectors.npy", mmap_mode="r")

    def points(self):
        probes = (4, 16, 64, 256)
        return [(probe, 0) for probe in probes] + [(probe, r) for r in (32, 64, 128) for probe in probes]

    def label(self, point):
        probe, rerank = point
        return f"nprobe={probe}" + (f", R={rerank}" if rerank else ", no re-rank")

    def search(self, question, point, k):
        probe, rerank = point
        self.index.nprobe = probe
        found = self.index.search(question[None], max(k, rerank))[1][0]
        if not rerank:
            return found
        found = found[found >= 0]
        scores = self.vectors[found] @ question
        return found[np.argsort(-scores)[:k]]

    def recomputed(self, point):
        return point[1]


class SqliteVec(Peer):
    name, package = "sqlite-vec", "sqlite-vec"
    modules = ("apsw", "sqlite_vec")
    warm_up, max_passes = 5, 1

    def __init__(self, bits):
        self.bits = bits
        self.variant = "sign bits, best R scored with f32" if bits else "brute force, f32"

    def connect(self, folder):
        import apsw
        import sqlite_vec

        db = apsw.Connection(f"{folder}/index.db")
        db.enable_load_extension(True)
        db.load_extension(sqlite_vec.loadable_path())
        return db

    def build(self, vectors, folder, threads):
        db, dim = self.connect(folder), vectors.shape[1]
        bits = f"bits bit[{dim}], " if self.bits else ""
        db.execute(f"create virtual table chunks using vec0({bits}vector float[{dim}] distance_metric=cosine)")
        columns, values = ("bits, ", "vec_quantize_binary(?2), ") if self.bits else ("", "")
        insert = f"insert into chunks(rowid, {columns}vector) values (?1, {values}?2)"
        with db:
            db.executemany(insert, ((row, vector.tobytes()) for row, vector in enumerate(vectors)))
        db.close()

    def open(self, folder, n, dim):
        self.db = self.connect(folder)

    def points(self):
        return [32, 128, 512] if self.bits else ["exact"]

    def label(self, point):
        return f"R={point}" if self.bits else point

    def search(self, question, point, k):
        vector = question.tobytes()
        if self.bits:
            query = (
                "with near as (select rowid, vector from chunks where bits match vec_quantize_binary(?1) and k = ?2) "
                "select rowid from near order by vec_distance_cosine(vector, ?1) limit ?3"
            )
            return [row[0] for row in self.db.execute(query, (vector, point, k))]
        query = "select rowid from chunks where vector match ?1 and k = ?2 order by distance"
        return [row[0] for row in self.db.execute(query, (vector, k))]

    def recomputed(self, point):
        return point if self.bits else None


PEERS = {
    "numpy": Scan,
    "hnswlib": Hnswlib,
    "usearch-f32": lambda: Usearch("f32"),
    "usearch-i8": lambda: Usearch("i8"),
    "faiss-hnsw": FaissHnsw,
    "faiss-ivfpq8": lambda: FaissIvfPq(8),
    "faiss-ivfpq16": lambda: FaissIvfPq(16),
    "sqlite-vec": lambda: SqliteVec(False),
    "sqlite-vec-bits": lambda: SqliteVec(True),
}
