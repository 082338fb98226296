"""What the scripts of bench/ share: a process's processor time and memory from /proc, its metrics, and wrk."""
import os
import re
import subprocess
import threading
import time
import urllib.request

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
TICKS = os.sysconf("SC_CLK_TCK")


class Program:
    """A server that says `pattern` (with the port as its group) once it listens. Ends with the block it is used in."""

    def __init__(self, command, pattern):
        self.lines = []
        self.port = None
        self._said = threading.Event()
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        self.pid = self._process.pid
        threading.Thread(target=self._read, args=(re.compile(pattern),), daemon=True).start()
        if not self._said.wait(60) or self.port is None:
            self.stop()
            raise SystemExit(f"{command[0]} did not begin:\n" + "".join(self.lines[-20:]))

    def _read(self, pattern):
        for line in self._process.stdout:
            self.lines.append(line)
            if self.port is None and (found := pattern.search(line)):
                self.port = int(found.group(1))
                self._said.set()
        self._said.set()

    def stop(self):
        self._process.terminate()
        try:
            self._process.wait(60)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()

    def cpu_seconds(self):
        fields = _stat(f"/proc/{self.pid}/stat")[1]
        return (int(fields[11]) + int(fields[12])) / TICKS

    def cpu_by_thread(self):
        """{(name, tid): seconds}; a thread that has ended is not there."""
        out = {}
        for tid in os.listdir(f"/proc/{self.pid}/task"):
            try:
                name, fields = _stat(f"/proc/{self.pid}/task/{tid}/stat")
            except FileNotFoundError:
                continue
            out[name, tid] = (int(fields[11]) + int(fields[12])) / TICKS
        return out

    def rss_mb(self):
        with open(f"/proc/{self.pid}/status", encoding="ascii") as status:
            return next(int(line.split()[1]) // 1024 for line in status if line.startswith("VmRSS"))

    def metrics(self):
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/metrics", timeout=30) as answer:
            lines = answer.read().decode().splitlines()
        pairs = (line.rpartition(" ") for line in lines if not line.startswith("#"))
        return {name: float(value) for name, _, value in pairs}


def _stat(path):
    with open(path, encoding="utf-8", errors="replace") as stat:
        text = stat.read()
    return text[text.index("(") + 1 : text.rindex(")")], text[text.rindex(")") + 2 :].split()


def quantile(before, after, histogram, q):
    """The upper edge of the bucket that holds the q-th part of what was observed in between, in ms."""
    edges = {}
    for name, count in after.items():
        if name.startswith(histogram + "_bucket"):
            edge = float(re.search(r'le="([^"]+)"', name).group(1).replace("+Inf", "inf"))
            edges[edge] = edges.get(edge, 0) + count - before.get(name, 0)
    total = max(edges.values(), default=0)
    return next((edge * 1000 for edge in sorted(edges) if total and edges[edge] >= q * total), float("nan"))


# Of whom is asked, and what it has about it: a line a client, its target ("%d": numbers from 1) and its headers.
WRK_SCRIPT = """
local clients = {%s}
local requests, at = {}, 0
init = function(args)
  for i = 1, 4000 do
    local client = clients[i %% #clients + 1]
    local headers = {["Content-Type"] = "application/json"}
    for name, value in pairs(client.headers) do headers[name] = value end
    requests[i] = wrk.format("POST", string.format(client.target, i) .. "&user_id=u-" .. i %% 1000, headers,
      '{"is_correct":true,"comment":"answer ' .. i .. ' of the load generator"}')
  end
end
request = function() at = at %% 4000 + 1; return requests[at] end
done = function(summary, latency, _)
  io.write(string.format("figures %%d %%d %%d %%d %%d %%d\\n", summary.requests, summary.duration, latency:percentile(50),
    latency:percentile(99), summary.errors.status, summary.errors.connect + summary.errors.read + summary.errors.write + summary.errors.timeout))
end
"""


ANY_CLIENT = [("/feedback?client_request_id=req-load-%d", {})]


def wrk(program, connections, seconds, clients=ANY_CLIENT):
    """POST /feedback over `connections` as fast as answers come, by `clients` (target, headers) in turns. Figures with
    the server's processor time beside them."""
    script = os.path.join(ROOT, "build", "feedback.lua")
    with open(script, "w", encoding="ascii") as out:
        out.write(WRK_SCRIPT % ",\n".join(_lua(*client) for client in clients))
    command = ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "--timeout", "10s", "-s", script]
    before = program.cpu_seconds()
    said = subprocess.run([*command, f"http://127.0.0.1:{program.port}/"], capture_output=True, text=True, check=True)
    spent = program.cpu_seconds() - before
    numbers = re.search(r"^figures (.*)$", said.stdout, re.M)
    if not numbers:
        raise SystemExit(said.stdout + said.stderr)
    requests, duration, p50, p99, refused, broken = map(int, numbers.group(1).split())
    return {
        "rate": (requests - refused) / (duration / 1e6),
        "p50_ms": p50 / 1e3,
        "p99_ms": p99 / 1e3,
        "cpu_per_100k": spent / max(1, requests) * 1e5,
        "refused": refused,
        "broken": broken,
        "rss_mb": program.rss_mb(),
    }


def _lua(target, headers):
    fields = ",".join(f'["{name}"]="{value}"' for name, value in headers.items())
    return f'{{target="{target}",headers={{{fields}}}}}'


def machine():
    commit = subprocess.run(["git", "-C", ROOT, "rev-parse", "--short", "HEAD"], capture_output=True, text=True).stdout.strip()
    return f"{os.cpu_count()} shared cores, generator included, commit {commit}, {time.strftime('%Y-%m-%d')}"
