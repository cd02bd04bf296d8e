"""Foretell's MLflow API beside `mlflow server` (SQLite): the same requests from one keep-alive client, in alternating blocks.

mlflow_server.py WORK -- OURS.. -- THEIRS..     ({port} and {folder} in a command are filled in)

Prints milliseconds per request (median of all blocks), the ratio, what a durable commit costs in fsyncs, and for both how long
a start takes and how much memory an idle server holds.
"""

import http.client
import json
import os
import re
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import time
import urllib.parse

API = "/api/2.0/mlflow/"
BLOCKS = int(os.environ.get("BLOCKS", "7"))
VERSIONS = 50
RUNS = 150


class Server:
    """A process that answers, and one connection to it that stays open."""

    def __init__(self, command, folder):
        os.makedirs(folder, exist_ok=True)
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        command = [it.format(port=port, folder=folder) for it in command]
        self.log = open(os.path.join(folder, "log"), "wb")
        began = time.perf_counter()
        self.process = subprocess.Popen(command, stdout=self.log, stderr=self.log, start_new_session=True)
        self.connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        self.wait_until_healthy()
        self.cold_start = time.perf_counter() - began

    def wait_until_healthy(self):
        while True:
            assert self.process.poll() is None, f"ended: {open(self.log.name).read()[-2000:]}"
            try:
                self.connection.connect()
                self.connection.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                self.connection.request("GET", "/health")
                answer = self.connection.getresponse()
                answer.read()
                if answer.status == 200:
                    return
            except (ConnectionError, http.client.HTTPException, OSError):
                pass
            self.connection.close()
            time.sleep(0.001)

    def send(self, method, path, body=None, **query):
        """The answer of a request that must succeed."""
        target = API + path + ("?" + urllib.parse.urlencode(query) if query else "")
        headers = {"Content-Type": "application/json"} if body is not None else {}
        self.connection.request(method, target, body and json.dumps(body), headers)
        answer = self.connection.getresponse()
        text = answer.read()
        assert answer.status == 200, f"{method} {target}: {answer.status} {text[:500]}"
        return json.loads(text)

    def processes(self):
        """Ids of the process and all below it."""
        parents = {}
        for pid in filter(str.isdigit, os.listdir("/proc")):
            try:
                parents[int(pid)] = int(open(f"/proc/{pid}/stat").read().rsplit(")", 1)[1].split()[1])
            except (OSError, IndexError):
                pass
        found = {self.process.pid}
        while grown := {pid for pid, parent in parents.items() if parent in found} - found:
            found |= grown
        return found

    def resident(self):
        """Bytes in memory, of the process and all below it."""
        pages = (int(open(f"/proc/{pid}/statm").read().split()[1]) for pid in self.processes())
        return sum(pages) * os.sysconf("SC_PAGESIZE")

    def stop(self):
        self.connection.close()
        os.killpg(self.process.pid, signal.SIGTERM)
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
        self.log.close()


class Work:
    """What is asked of a server, with what it takes to ask."""

    def __init__(self, server):
        self.server, self.count, send = server, 0, server.send
        self.experiment = send("POST", "experiments/create", {"name": "bench"})["experiment_id"]
        self.runs = [self.run(n) for n in range(RUNS)]
        send("POST", "registered-models/create", {"name": "churn"})
        for _ in range(VERSIONS):
            self.create_version()
        send("POST", "registered-models/alias", {"name": "churn", "alias": "champion", "version": "7"})

    def run(self, n):
        tags = [{"key": "team", "value": "growth" if n % 2 else "core"}]
        body = {"experiment_id": self.experiment, "start_time": 1000 + n, "tags": tags}
        run = self.server.send("POST", "runs/create", body)["run"]["info"]["run_id"]
        metrics = [{"key": f"m{it}", "value": (n * 37 + it) % 101 / 101, "timestamp": 1, "step": 0} for it in range(5)]
        params = [{"key": f"p{it}", "value": str(n % 7)} for it in range(5)]
        self.server.send("POST", "runs/log-batch", {"run_id": run, "metrics": metrics, "params": params})
        return run

    def get_by_alias(self):
        found = self.server.send("GET", "registered-models/alias", name="churn", alias="champion")
        assert found["model_version"]["name"] == "churn"

    def get_version(self):
        found = self.server.send("GET", "model-versions/get", name="churn", version="7")
        assert found["model_version"]["version"] == "7"

    def get_run(self):
        found = self.server.send("GET", "runs/get", run_id=self.runs[3])
        assert len(found["run"]["data"]["metrics"]) == 5

    def search_versions(self):
        found = self.server.send("GET", "model-versions/search", filter="name='churn'", max_results="20")
        assert len(found["model_versions"]) == 20

    def search_runs(self):
        body = {
            "experiment_ids": [self.experiment],
            "filter": "metrics.m1 > 0.2 and tags.team = 'growth'",
            "order_by": ["metrics.m2 DESC"],
            "max_results": 20,
        }
        assert len(self.server.send("POST", "runs/search", body)["runs"]) == 20

    def log_batch(self):
        self.count += 1
        metrics = [{"key": f"b{it}", "value": it / 7, "timestamp": self.count, "step": self.count} for it in range(100)]
        self.server.send("POST", "runs/log-batch", {"run_id": self.runs[0], "metrics": metrics})

    def create_version(self):
        self.server.send("POST", "model-versions/create", {"name": "churn", "source": "s3://bucket/churn"})

    def set_alias(self):
        self.count += 1
        body = {"name": "churn", "alias": "champion", "version": str(self.count % VERSIONS + 1)}
        self.server.send("POST", "registered-models/alias", body)


READS = ["get_by_alias", "get_version", "get_run", "search_versions", "search_runs"]
WRITES = ["log_batch", "create_version", "set_alias"]


def milliseconds(call, times):
    took = []
    for _ in range(times):
        began = time.perf_counter()
        call()
        took.append((time.perf_counter() - began) * 1000)
    return took


def compare(ours, theirs, name):
    """Median milliseconds of both, blocks of requests in turn."""
    took = ([], [])
    for _ in range(BLOCKS):
        for work, into in zip((ours, theirs), took):
            into.extend(milliseconds(getattr(work, name), 20))
    return [statistics.median(it) for it in took]


def fsyncs(work, name, times=20):
    """fsync and fdatasync calls per request, counted by strace; None where it may not look."""
    if not shutil.which("strace"):
        return None
    out = os.path.join(os.path.dirname(work.server.log.name), "strace")
    watched = [arg for pid in sorted(work.server.processes()) for arg in ("-p", str(pid))]
    strace = subprocess.Popen(
        ["strace", "-f", "-q", "-e", "trace=fsync,fdatasync", "-o", out, *watched], stderr=subprocess.DEVNULL
    )
    time.sleep(1.5)
    if strace.poll() is not None:
        return None
    milliseconds(getattr(work, name), times)
    strace.send_signal(signal.SIGINT)
    strace.wait()
    calls = re.findall(r"(?:fsync|fdatasync)\(\d+(?:\) += | <unfinished)", open(out).read())
    return len(calls) / times


def main():
    folder, *commands = sys.argv[1:]
    at = len(commands) - 1 - commands[::-1].index("--")
    commands = commands[1:at], commands[at + 1 :]
    shutil.rmtree(folder, ignore_errors=True)
    starts = [[], []]
    for n in range(int(os.environ.get("STARTS", "3"))):
        for which, command in enumerate(commands):
            server = Server(command, os.path.join(folder, f"start-{which}"))
            time.sleep(2)
            starts[which].append((server.cold_start * 1000, server.resident() / 2**20))
            server.stop()
    servers = [Server(it, os.path.join(folder, str(n))) for n, it in enumerate(commands)]
    try:
        works = [Work(it) for it in servers]
        print(f"{'':16}{'ours ms':>10}{'mlflow ms':>11}{'ratio':>8}", flush=True)
        for name in READS + WRITES:
            ours, theirs = compare(*works, name)
            print(f"{name:16}{ours:10.3f}{theirs:11.3f}{theirs / ours:8.1f}", flush=True)
        for name in WRITES:
            print(f"{name:16} fsyncs a request: ours {fsyncs(works[0], name)}, mlflow {fsyncs(works[1], name)}")
        for what, column in (("cold start, ms", 0), ("idle, MiB", 1)):
            ours, theirs = ([it[column] for it in which] for which in starts)
            print(f"{what:16}{statistics.median(ours):10.1f}{statistics.median(theirs):11.1f}")
        print(f"after the run, MiB {servers[0].resident() / 2**20:.1f} and {servers[1].resident() / 2**20:.1f}")
    finally:
        for server in servers:
            server.stop()


if __name__ == "__main__":
    main()
