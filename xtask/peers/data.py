"""Vectors, exact answers and recall: what every peer is measured on and by."""

import hashlib
from pathlib import Path

import numpy as np

K = 10
# Scores closer than this are the same: equal texts have equal vectors, in any order.
TIE = 1e-6


def load(path, dim=None):
    """Rows of an .npy file, or of raw little-endian .f32 (which needs `dim`), as float32."""
    if str(path).endswith(".f32"):
        rows = np.fromfile(path, dtype="<f4").reshape(shape(path, dim))
    else:
        rows = np.ascontiguousarray(np.load(path), dtype=np.float32)
    if rows.ndim != 2 or not np.isfinite(rows).all():
        raise SystemExit(f"{path}: expected a finite matrix, one vector a row")
    off = np.abs(np.einsum("ij,ij->i", rows, rows) - 1) > 1e-3
    if off.any():
        raise SystemExit(f"{path}: {off.sum()} vectors are not of unit length, the first is row {off.argmax()}")
    return rows


def load_truth(path, k=K):
    """Exact answers: an .npy file of ids, or raw little-endian .u32, k a row."""
    if str(path).endswith(".u32"):
        return np.fromfile(path, dtype="<u4").reshape(-1, k).astype(np.int64)
    return np.load(path).astype(np.int64)[:, :k]


def recall(found, truth, vectors, queries, k=K):
    """Mean share of the k ids found that are as good as the exact k-th best; ties count."""
    total = 0.0
    for query, ids, best in zip(queries, found, truth):
        ids = np.array(sorted({int(i) for i in ids[:k] if i >= 0}), dtype=np.int64)
        threshold = float(vectors[best[k - 1]] @ query) - TIE
        total += min(int((vectors[ids] @ query >= threshold).sum()), k) / k
    return total / len(found)


def shape(path, dim=None):
    """Rows and columns of a file that `load` reads."""
    if str(path).endswith(".f32"):
        if not dim:
            raise SystemExit(f"{path}: a raw file needs --dim")
        return Path(path).stat().st_size // (4 * dim), dim
    return np.load(path, mmap_mode="r").shape


def digest(*paths):
    """Hex digits that stand for the contents of the files."""
    sha = hashlib.sha256()
    for path in paths:
        sha.update(str(Path(path).stat().st_size).encode() + b"\n")
        with Path(path).open("rb") as file:
            while block := file.read(1 << 20):
                sha.update(block)
    return sha.hexdigest()
