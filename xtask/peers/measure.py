"""Time, memory and disk of one step of one peer."""

import os
import resource
import time
from importlib import import_module
from pathlib import Path

import numpy as np

# A pass over the questions is repeated until this much time has gone by, so that short queries are timed well.
ENOUGH_S = 1.0
MAX_PASSES = 5


def memory_mb(field="VmHWM"):
    """Resident memory of this process; VmHWM is its peak. (ru_maxrss would count its parent's.)"""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(field):
            return int(line.split()[1]) / 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def cpu_s():
    """CPU seconds of all threads of this process, and of its children that have ended."""
    used = [resource.getrusage(of) for of in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(one.ru_utime + one.ru_stime for one in used)


def files(folder):
    """Size in bytes of each file below a folder, by relative path."""
    found = sorted(path for path in Path(folder).rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): path.stat().st_size for path in found}


def build(peer, folder, threads, *inputs):
    """Builds the index once and says what it took; reading vectors and loading libraries are not counted."""
    for module in peer.modules:
        import_module(module)
    base, cpu, wall = memory_mb("VmRSS"), cpu_s(), time.perf_counter()
    peer.build(*inputs, folder, threads)
    return {
        "threads": threads,
        "wall_s": time.perf_counter() - wall,
        "cpu_s": cpu_s() - cpu,
        # A child that built for this process counts in its place.
        "peak_mb": max(memory_mb(), resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024),
        "before_mb": base,
        "load": os.getloadavg()[0],
    }


def sweep(peer, questions, k):
    """Every setting of an open index: timings, and the ids found (for recall, later)."""
    points, answers = [], []
    for setting in peer.points():
        for question in questions[: peer.warm_up]:
            peer.search(question, setting, k)
        times, found, recomputed = [], [], []
        cpu, start = peer.cpu_s(), time.perf_counter()
        passes = 0
        while passes == 0 or (time.perf_counter() - start < ENOUGH_S and passes < peer.max_passes):
            for question in questions:
                before = time.perf_counter()
                ids = peer.search(question, setting, k)
                times.append(time.perf_counter() - before)
                if passes == 0:
                    found.append([int(i) for i in ids])
                    recomputed.append(peer.recomputed(setting))
            passes += 1
        points.append({
            "setting": peer.label(setting),
            "queries": len(questions),
            "threads": 1,
            "p50_ms": float(np.percentile(times, 50)) * 1e3,
            "p95_ms": float(np.percentile(times, 95)) * 1e3,
            "cpu_ms": (peer.cpu_s() - cpu) / len(times) * 1e3,
            "recomputed": float(np.mean(recomputed)) if recomputed[0] is not None else None,
            "end_to_end": peer.end_to_end,
            "load": os.getloadavg()[0],
        })
        answers.append(found)
    return points, answers
