"""Runs the trials of a sweep on a Ray cluster, one task each, and brings what they wrote back.

Written out and started by `covey sim sweep`; by hand: python3 covey_sweep.py PLAN.json. Workers need Ray, and nothing of Covey: the binary
and the scenario travel with the tasks. A line of JSON on standard output tells what became of each trial. The plan:

    sweep    the sweep's folder, on the machine where this runs
    trials   [{"name": ..., "command": [...]}]; in commands {binary}, {files} and {out} stand for where things are on the worker
    binary   an executable to ship
    files    {name: text}, to ship too
    address  of the cluster; null for the one of this machine, or one started for the occasion
    cpus     CPUs that a trial takes
    retries  how often a trial starts anew when its worker, its machine or its process is lost
"""

import ctypes
import hashlib
import json
import os
import shutil
import signal
import socket
import stat
import subprocess
import sys
import tempfile

try:
    import ray
except ImportError:
    sys.exit(f"Ray is not installed for {sys.executable}: pip install ray")

# Tasks that Ray knows of at a time; what they bring back waits in its memory until it is written here.
MAX_IN_FLIGHT = 256
# Most that one trial may bring back.
MAX_BYTES = 256 << 20
MAX_LOG_BYTES = 1 << 20
MAX_WHY = 1000


def die_with_parent():
    """Has the kernel kill this process when the one that started it dies, so that nothing computes on for nobody."""
    if sys.platform == "linux":
        pr_set_pdeathsig = 1
        ctypes.CDLL(None).prctl(pr_set_pdeathsig, signal.SIGKILL)


def unpack(binary):
    """The binary on this worker, written once for all trials that it runs."""
    folder = os.path.join(tempfile.gettempdir(), f"covey-sweep-{os.getuid()}-{hashlib.sha256(binary).hexdigest()[:16]}")
    path = os.path.join(folder, "binary")
    os.makedirs(folder, mode=0o700, exist_ok=True)
    # Anybody can guess the name, and what is in it gets run.
    found = os.lstat(folder)
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid() or found.st_mode & 0o077:
        raise PermissionError(f"{folder} is not this user's alone, so nothing in it is run; remove it, or set TMPDIR")
    if not os.path.exists(path):
        part = f"{path}.{os.getpid()}"
        with open(part, "wb") as file:
            file.write(binary)
        os.chmod(part, 0o700)
        os.replace(part, path)
    return path


def tail(path):
    with open(path, "rb") as file:
        file.seek(max(0, os.path.getsize(path) - MAX_LOG_BYTES))
        return file.read()


def collect(folder):
    """All files below a folder, as (name, bytes)."""
    files, total = [], 0
    for at, _, names in sorted(os.walk(folder)):
        for name in sorted(names):
            path = os.path.join(at, name)
            total += os.path.getsize(path)
            if total > MAX_BYTES:
                raise ValueError(f"the trial wrote more than {MAX_BYTES} bytes")
            with open(path, "rb") as file:
                files.append((os.path.relpath(path, folder), file.read()))
    return files


def trial(command, files, binary):
    """One trial, on whichever worker."""
    with tempfile.TemporaryDirectory(prefix="covey-trial-") as work:
        out, log = os.path.join(work, "out"), os.path.join(work, "log")
        shipped = os.path.join(work, "files")
        os.mkdir(shipped)
        for name, text in files.items():
            with open(os.path.join(shipped, os.path.basename(name)), "w", encoding="utf-8") as file:
                file.write(text)
        places = {"{binary}": unpack(binary), "{files}": shipped, "{out}": out}
        for name, place in places.items():
            command = [part.replace(name, place) for part in command]
        with open(log, "wb") as said:
            child = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=said, stderr=said, preexec_fn=die_with_parent)
            try:
                code = child.wait()
            finally:
                if child.poll() is None:
                    child.kill()
                    child.wait()
        if code < 0:
            # Killed, for want of memory perhaps; a type of Python's own, which all workers know.
            raise ChildProcessError(f"its process was killed by signal {-code}")
        return {"code": code, "log": tail(log), "files": collect(out) if code == 0 else []}


def keep(sweep, name, result):
    """Writes what a trial brought back; its folder appears at once, whole."""
    with open(os.path.join(sweep, "logs", f"{name}.log"), "wb") as file:
        file.write(result["log"])
    if result["code"] != 0:
        lines = [line for line in result["log"].decode("utf-8", "replace").splitlines() if line.strip()]
        raise RuntimeError(f"exit status: {result['code']}: {lines[-1].strip() if lines else 'it said nothing'}")
    final = os.path.join(sweep, "trials", name)
    # No trial's name ends so.
    part = f"{final}~"
    shutil.rmtree(part, ignore_errors=True)
    for relative, content in result["files"]:
        path = os.path.normpath(os.path.join(part, relative))
        if not path.startswith(part + os.sep):
            raise RuntimeError(f"a file of it would be outside of its folder: {relative}")
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "wb") as file:
            file.write(content)
    if not os.path.exists(os.path.join(part, "summary.json")):
        raise RuntimeError("it ended without a summary")
    shutil.rmtree(final, ignore_errors=True)
    os.rename(part, final)


def tell(name, state, why=None):
    # Whoever reads this hears out no endless line.
    why = why[:MAX_WHY] if why else why
    print(json.dumps({"trial": name, "state": state, "why": why}), flush=True)


def reach(address):
    """Fails where nobody listens; Ray itself would go on trying."""
    host, _, port = (address or "").removeprefix("ray://").rpartition(":")
    if not port.isdigit():
        return
    try:
        socket.create_connection((host, int(port)), timeout=10).close()
    except OSError as error:
        sys.exit(f"there is no Ray cluster at {address}: {error}")


def interrupted(*_):
    raise KeyboardInterrupt


def main(path):
    with open(path, encoding="utf-8") as file:
        plan = json.load(file)
    die_with_parent()
    signal.signal(signal.SIGTERM, interrupted)
    signal.signal(signal.SIGINT, interrupted)
    reach(plan["address"])
    ray.init(address=plan["address"], log_to_driver=False, logging_level="WARNING")
    remote = ray.remote(trial).options(
        num_cpus=plan["cpus"], max_retries=plan["retries"], retry_exceptions=[ChildProcessError]
    )
    with open(plan["binary"], "rb") as file:
        binary = ray.put(file.read())
    waiting, running = list(reversed(plan["trials"])), {}
    try:
        while waiting or running:
            while waiting and len(running) < MAX_IN_FLIGHT:
                one = waiting.pop()
                running[remote.remote(one["command"], plan["files"], binary)] = one["name"]
                tell(one["name"], "started")
            ready, _ = ray.wait(list(running), num_returns=1)
            for task in ready:
                name = running.pop(task)
                try:
                    keep(plan["sweep"], name, ray.get(task))
                    tell(name, "done")
                except Exception as error:
                    lines = [line for line in str(error).splitlines() if line.strip()]
                    tell(name, "failed", lines[-1].strip() if lines else type(error).__name__)
    except KeyboardInterrupt:
        for task in running:
            ray.cancel(task)
        # Until tasks have ended their processes.
        ray.wait(list(running), num_returns=len(running), timeout=10)
        sys.exit(130)


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: python3 covey_sweep.py PLAN.json")
    main(sys.argv[1])
