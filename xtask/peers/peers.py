#!/usr/bin/env python3
"""Measures other vector indexes on vectors handed in as files, and prints one JSON object a line.

  peers.py list
  peers.py run --vectors V --queries Q --truth T --cache DIR [--peers a,b] ...

V and Q are .npy files or raw little-endian .f32 (with --dim), of unit length; T holds the ids of the
exact answers, .npy or raw little-endian .u32.
A line is {"row": {...}} or {"skipped": {"peer", "reason"}}. Each row is built and searched by
processes of its own, once: a row in the cache is printed as it is, unless --fresh. Peers that embed
on their own also need --chunks and --questions (JSON lines with "text", "query").
Only NumPy is needed here; what a peer needs, its own process imports.
"""

import argparse
import contextlib
import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from importlib import metadata
from pathlib import Path

import ann
import data
import leann_peer
import step as steps

HERE = Path(__file__).resolve().parent
# Raised when what a row holds, or how it is measured, changes: kept rows are then not taken.
FORMAT = 1
# Every peer's maker, by name.
REGISTRY = ann.PEERS | leann_peer.PEERS


def main():
    options = arguments()
    if options.command == "step":
        return step(json.loads(options.job))
    if options.command == "list":
        print("\n".join(REGISTRY))
        return 0
    for name in options.peers.split(",") if options.peers else REGISTRY:
        emit(row_of(name, options))
    return 0


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("list")
    inner = commands.add_parser("step")
    inner.add_argument("job")
    run = commands.add_parser("run")
    run.add_argument("--vectors", required=True)
    run.add_argument("--queries", required=True)
    run.add_argument("--truth", required=True)
    run.add_argument("--dim", type=int)
    run.add_argument("--cache", required=True)
    run.add_argument("--chunks")
    run.add_argument("--questions")
    run.add_argument("--data", default="", help="what the vectors are, for the row")
    run.add_argument("--peers", help="names from `list`, with commas; all of them without")
    run.add_argument("--threads", default="1,2", help="a build for each; the first one's index is searched")
    run.add_argument("--limit", type=int, help="at most so many questions")
    run.add_argument("--few", type=int, help="so many questions where each costs minutes")
    run.add_argument("--timeout", type=float, default=4 * 3600, help="seconds for a step")
    run.add_argument("--fresh", action="store_true")
    return parser.parse_args()


def step(job):
    """Runs in a child: only here is a peer's library imported."""
    peer = REGISTRY[job["peer"]]()
    outcome = steps.run(peer, job["step"], job)
    Path(job["out"]).write_text(json.dumps(outcome))
    return 0


def row_of(name, options):
    """The row from the cache, or measured now; or why there is none."""
    try:
        peer = REGISTRY[name]()
        version = peer.version()
    except KeyError:
        return {"skipped": {"peer": name, "reason": "no peer of that name, see `list`"}}
    except metadata.PackageNotFoundError as error:
        return {"skipped": {"peer": name, "reason": f"{error.name} is not installed"}}
    if peer.needs_text and not (options.chunks and options.questions):
        return {"skipped": {"peer": name, "reason": "it embeds on its own, and was handed vectors only"}}
    contents = data.digest(options.vectors, options.queries, options.truth)
    key = [FORMAT, name, version, contents, peer.settings(), options.threads, options.limit]
    key += [options.few or peer.few] if peer.few else []
    folder = Path(options.cache) / f"{name}-{hashlib.sha256(json.dumps(key).encode()).hexdigest()[:16]}"
    kept = folder / "row.json"
    if options.fresh:
        shutil.rmtree(folder, ignore_errors=True)
    if kept.exists():
        return {"row": json.loads(kept.read_text()) | {"data": options.data}}
    try:
        row = measure(name, peer, version, folder, options)
    except (OSError, RuntimeError) as error:
        return {"skipped": {"peer": name, "reason": str(error)}}
    kept.write_text(json.dumps(row))
    shutil.rmtree(folder / "index", ignore_errors=True)
    return {"row": row}


def measure(name, peer, version, folder, options):
    rows, dim = data.shape(options.vectors, options.dim)
    job = {key: str(Path(value).resolve()) for key, value in vars(options).items()
           if value and key in ("vectors", "queries", "truth", "chunks", "questions")}
    job |= {"peer": name, "n": rows, "dim": dim, "limit": options.limit, "few": options.few}
    builds, index = [], folder / "index"
    for position, threads in enumerate(int(count) for count in options.threads.split(",")):
        target = index if position == 0 else folder / f"index-{threads}"
        builds.append(child(job | {"step": "build", "threads": threads, "folder": str(target)}, folder, options))
        if position > 0:
            shutil.rmtree(target, ignore_errors=True)
    found = child(job | {"step": "search", "threads": 1, "folder": str(index)}, folder, options)
    return {
        "engine": peer.name,
        "variant": peer.variant,
        "version": version,
        "data": options.data,
        "n": rows,
        "dim": dim,
        "note": peer.note,
        "builds": builds,
        **found,
    }


def child(job, folder, options):
    """Runs a step, or takes what it left in an earlier run."""
    out = folder / f"{job['step']}-{job['threads']}.json"
    if out.exists():
        return json.loads(out.read_text())
    if job["step"] == "build":
        shutil.rmtree(job["folder"], ignore_errors=True)
        Path(job["folder"]).mkdir(parents=True)
    threads = str(job["threads"])
    environment = os.environ | {name: threads for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")}
    if job["peer"].startswith("leann"):
        environment |= leann_peer.environment()
    partial = out.with_suffix(".partial")
    command = [sys.executable, str(HERE / "peers.py"), "step", json.dumps(job | {"out": str(partial)})]
    log = folder / f"{job['step']}-{threads}.log"
    say(f"{job['peer']}: {job['step']}, n={job['n']}, {threads} thread(s)")
    start = time.monotonic()
    code = watched(command, environment, log, options.timeout)
    if code is None:
        raise RuntimeError(f"{job['step']} took longer than {options.timeout:.0f} s")
    if code != 0:
        raise RuntimeError(f"{job['step']} ended with {code}: {last_line(log)}")
    say(f"{job['peer']}: {job['step']} took {time.monotonic() - start:.1f} s")
    partial.rename(out)
    return json.loads(out.read_text())


def watched(command, environment, log, timeout):
    """The exit code, or None if it took too long. No process of its group outlives this one's wait for it."""
    with log.open("w") as file:
        child = subprocess.Popen(command, env=environment, stdin=subprocess.DEVNULL, stdout=file, stderr=file,
                                 start_new_session=True)
        try:
            return child.wait(timeout)
        except subprocess.TimeoutExpired:
            return None
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(child.pid, signal.SIGKILL)
            child.wait()


def last_line(log):
    lines = [line.strip() for line in log.read_text(errors="replace").splitlines() if line.strip()]
    return lines[-1][:300] if lines else "it said nothing"


def emit(line):
    print(json.dumps(line), flush=True)


def say(text):
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
