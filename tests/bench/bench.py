#!/usr/bin/env python3
"""What mux costs: instructions of its work, how it grows, and how it stands beside others.

    tests/bench/bench.py counts MUX            instructions (valgrind); the same on a busy machine
    tests/bench/bench.py replay MUX            10 000 runs as the scenarios recorded them: instructions, CPU time
    tests/bench/bench.py growth MUX [WORD]     ledger, repository, reply, answer and runs, each some times larger; or one of them
    tests/bench/bench.py peers MUX [NAME=COMMAND ...]   one question, CPU time and memory, beside other programs
    tests/bench/bench.py hooks MUX             what the git hooks add to a commit and to a rebase of 300

MUX is a release build. Python and loopback only; valgrind for `counts` and `replay`. A command of a peer may hold {base}, the address of
the stand-in for a model server. Everything is in a directory of its own that is removed at the end.
"""

import http.server
import json
import os
import pathlib
import re
import resource
import shlex
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time

ANSWER = "The guard stands below the first use. Move it to the top of the function and add a test for the missing user."


class Stub(http.server.BaseHTTPRequestHandler):
    """Answers every question with `Stub.text`, as a stream or in one piece. It stands in for the network, not for a model."""

    protocol_version = "HTTP/1.1"
    text = ANSWER

    def log_message(self, *_):
        pass

    def send(self, kind, body):
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self):
        model = {"id": "stub", "object": "model", "max_model_len": 8 << 20}
        self.send("application/json", json.dumps({"object": "list", "data": [model], "status": "ok"}).encode())

    def do_POST(self):
        raw = self.rfile.read(int(self.headers["Content-Length"]))
        if self.path.endswith("/responses"):
            return self.as_responses()
        if not self.path.endswith("/chat/completions"):
            return self.send_error(404)
        request, tokens = json.loads(raw), (len(raw) // 4, len(self.text) // 4)
        usage = {"prompt_tokens": tokens[0], "completion_tokens": tokens[1], "total_tokens": sum(tokens)}
        head = {"id": "c", "created": 0, "model": "stub"}
        if not request.get("stream"):
            choice = {"index": 0, "message": {"role": "assistant", "content": self.text}, "finish_reason": "stop"}
            whole = {**head, "object": "chat.completion", "choices": [choice], "usage": usage}
            return self.send("application/json", json.dumps(whole).encode())
        events = []
        for start in range(0, len(self.text), 400):
            choice = {"index": 0, "delta": {"content": self.text[start : start + 400]}, "finish_reason": None}
            events.append({**head, "object": "chat.completion.chunk", "choices": [choice]})
        last = {"index": 0, "delta": {}, "finish_reason": "stop"}
        events.append({**head, "object": "chat.completion.chunk", "choices": [last], "usage": usage})
        body = "".join(f"data: {json.dumps(event)}\n\n" for event in events) + "data: [DONE]\n\n"
        return self.send("text/event-stream", body.encode())

    def as_responses(self):
        """The other protocol for the same, which codex speaks."""
        item = {"type": "message", "id": "m", "role": "assistant", "content": [{"type": "output_text", "text": self.text}]}
        usage = {"input_tokens": 1, "output_tokens": 1, "total_tokens": 2}
        events = [
            {"type": "response.created", "response": {"id": "r"}},
            {"type": "response.output_item.done", "output_index": 0, "item": item},
            {"type": "response.completed", "response": {"id": "r", "usage": usage}},
        ]
        body = "".join(f"event: {event['type']}\ndata: {json.dumps(event)}\n\n" for event in events)
        self.send("text/event-stream", body.encode())


class World:
    """A home, a project and a stand-in for a model server."""

    def __init__(self, mux):
        self.mux = str(pathlib.Path(mux).resolve(strict=True))
        self.root = pathlib.Path(tempfile.mkdtemp(prefix="mux-bench-"))
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Stub)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        self.base = f"http://127.0.0.1:{self.server.server_port}/v1"
        self.work = self.root / "work"
        self.ledger = self.root / "state/mux/run_ledger.jsonl"
        for each in ("work", "config/mux", "state", "tmp"):
            (self.root / each).mkdir(parents=True)
        config = self.root / "config/mux/mux.yaml"
        config.write_text(
            f'providers:\n  local:\n    base_url: "{self.base}"\n    model: stub\n    auto_detect: false\n    parallel: 16\n'
            "local_executor:\n  max_attempts: 1\n  max_tokens: 1000000\n"
        )
        config.chmod(0o600)
        self.env = {"PATH": "/usr/local/bin:/usr/bin:/bin", "HOME": str(self.root), "TMPDIR": str(self.root / "tmp"), "LC_ALL": "C"}
        for name in ("CONFIG", "STATE", "CACHE", "DATA"):
            self.env[f"XDG_{name}_HOME"] = str(self.root / name.lower())
        # Other programs find the same server: some by these variables, aichat by a file.
        (self.root / "config/aichat").mkdir()
        client = {"type": "openai-compatible", "name": "stub", "api_base": self.base, "models": [{"name": "stub"}]}
        (self.root / "config/aichat/config.yaml").write_text(json.dumps({"model": "stub:stub", "clients": [client]}))
        self.env |= {"OPENAI_API_KEY": "none", "OPENAI_API_BASE": self.base, "OPENAI_BASE_URL": self.base}

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.server.shutdown()
        shutil.rmtree(self.root)

    def start(self, argv):
        return subprocess.Popen(
            argv, cwd=self.work, env=self.env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        )

    def cost(self, argv, rounds=5, clean=lambda: None):
        """Median of wall and CPU seconds and the largest MB in memory (0 without GNU time); a run that fails ends it all."""
        rows = []
        for _ in range(rounds):
            clean()
            began = time.monotonic()
            child = self.start(argv)
            said = child.stdout.read()
            _, status, used = os.wait4(child.pid, 0)
            child.returncode = os.waitstatus_to_exitcode(status)
            wall = time.monotonic() - began
            if child.returncode != 0:
                sys.exit(f"{shlex.join(argv)} ended with {child.returncode}:\n{said.decode(errors='replace')[-2000:]}")
            rows.append((wall, used.ru_utime + used.ru_stime))
        walls, cpus = zip(*rows)
        clean()
        return statistics.median(walls), statistics.median(cpus), self.memory(argv)

    def memory(self, argv):
        """The kernel counts what a process was before it became the program, here Python: a small one has to start it."""
        if not os.path.exists("/usr/bin/time"):
            return 0
        self.child([*"/usr/bin/time -f %M -o".split(), str(self.root / "time"), *argv])
        return int((self.root / "time").read_text().split()[-1]) / 1024

    def child(self, argv):
        return subprocess.run(argv, cwd=self.work, env=self.env, stdin=subprocess.DEVNULL, capture_output=True, check=True)

    def count(self, *args):
        """Millions of instructions of one run, without its children."""
        tool = ["valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null", self.mux, *args]
        done = subprocess.run(tool, cwd=self.work, env=self.env, stdin=subprocess.DEVNULL, capture_output=True, text=True)
        found = re.search(r"Collected : (\d+)", done.stderr)
        if done.returncode != 0 or not found:
            sys.exit(f"{shlex.join(args)} ended with {done.returncode}:\n{done.stdout[-1500:]}{done.stderr[-1500:]}")
        return int(found[1]) / 1e6

    def line(self):
        """A ledger line, as a run has just written it."""
        if not self.ledger.exists():
            Stub.text = ANSWER
            self.cost([self.mux, "run", "--answer", "Why is the guard not reached?"], rounds=1)
        with self.ledger.open("rb") as file:
            return file.readline()

    def fill(self, n_bytes):
        """Makes the ledger that large, of one line."""
        line = self.line()
        block = line * max(1, (1 << 20) // len(line))
        with self.ledger.open("wb") as file:
            while file.tell() + len(block) <= n_bytes:
                file.write(block)
            while file.tell() < n_bytes:
                file.write(line)

    def spread(self, n_bytes):
        """The same, of runs that are numbered and come at even distances over the last four weeks."""
        head, _, _, rest = re.fullmatch(rb'(.*?"seq":)(\d+)(,"timestamp":"[^"]*")(.*\n)', self.line()).groups()
        length, now = len(self.line()) + 4, time.time()
        with self.ledger.open("wb") as file:
            for number in range(1, n_bytes // length + 1):
                seconds = now - 28 * 86400 * (1 - number * length / n_bytes)
                moment = time.strftime("%Y-%m-%dT%H:%M:%S.000Z", time.gmtime(seconds)).encode()
                file.write(b'%b%d,"timestamp":"%b"%b' % (head, number, moment, rest))

    def record(self, n):
        """Makes a ledger of that many runs of all sorts: those of the scenarios in turn, each with an id of its own."""
        lines = []
        for path in sorted((pathlib.Path(__file__).parents[2] / "fixtures/run").glob("*/expected/ledger.jsonl")):
            text = path.read_text().replace('"least_ms":"{{n}}"', '"least_ms":1').replace('"{{n}}"', "1234")
            runs = [json.loads(line) for line in text.replace("{{time}}", "2026-11-27T00:00:00.000Z").splitlines()]
            lines += [json.dumps(run, separators=(",", ":")) for run in runs if run["kind"] != "undo" and "hook" not in run]
        self.ledger.parent.mkdir(parents=True, exist_ok=True)
        with self.ledger.open("w") as file:
            for number in range(n):
                file.write(lines[number % len(lines)].replace("{{id}}", f"01M8DPZBEQVVDQ2YZ{number:09}") + "\n")


def module(n_bytes):
    """A Python file of about that size, each line its own."""
    lines = [f"def task_{number}(value):\n    return value + {number}\n" for number in range(n_bytes // 48 + 1)]
    return "\n".join(lines)


def as_file(name, text):
    return f"FILE: {name}\n```python\n{text}```\n"


def counts(world):
    rows = []
    rows.append(("start: `mux --version`", world.count("--version"), "a run"))
    world.line()
    whole = {}
    commands = (("status",), ("replay",), ("log", "-n", "5"))
    for n in (200, 1200):
        world.fill(n * len(world.line()))
        whole[n] = {args: world.count(*args) for args in commands}
    per_thousand = lambda args: whole[1200][args] - whole[200][args]
    rows.append(("summarise: `mux status`", per_thousand(("status",)), "1000 ledger lines"))
    rows.append(("decide again: `mux replay`", per_thousand(("replay",)), "1000 ledger lines"))
    rows.append(("the last runs: `mux log -n 5`", per_thousand(("log", "-n", "5")), "1000 ledger lines more"))
    world.ledger.unlink()
    change = ("run", "--change", "--no-verify")
    spent = {}
    for kib in (16, 80):
        Stub.text = as_file("made.py", module(kib << 10))
        spent[kib] = world.count(*change, "Create made.py")
        (world.work / "made.py").unlink()
    rows.append(("read a reply and write the file", (spent[80] - spent[16]) / 64, "KiB of the reply"))
    for kib in (16, 80):
        text = module(kib << 10)
        (world.work / "old.py").write_text(text)
        Stub.text = "old.py\n```\n<<<<<<< SEARCH\n    return value + 9\n=======\n    return value - 9\n>>>>>>> REPLACE\n```\n"
        spent[kib] = world.count(*change, "--file", "old.py", "Fix task_9 in old.py")
    rows.append(("show a file, patch it and write it", (spent[80] - spent[16]) / 64, "KiB of the file"))
    Stub.text = ANSWER
    rows.append(("one answer, all of it", world.count("run", "--answer", "Why is the guard not reached?"), "a run"))
    print("| work | million instructions | for |\n| --- | ---: | --- |")
    for name, number, unit in rows:
        print(f"| {name} | {number:.3f} | {unit} |")


def replay(world):
    world.record(10_000)
    said = world.child([world.mux, "replay"]).stdout.decode()
    cpus = [world.cost([world.mux, "replay"], rounds=5)[1] for _ in range(5)]
    print(f"{said}\n{world.ledger.stat().st_size / 1e6:.1f} MB: {world.count('replay'):.0f} million instructions, ", end="")
    print(f"{min(cpus) * 1e3:.0f} to {max(cpus) * 1e3:.0f} ms of CPU time (medians of five)")


def growth(world, only=""):
    print("| what grows | to | CPU ms | MB | CPU, for how much more |\n| --- | ---: | ---: | ---: | ---: |")

    def table(name, sizes, measure, show):
        if only not in name:
            return
        before = None
        for size in sizes:
            cpu, megabytes = measure(size)
            factor = "" if before is None else f"{cpu / before[1]:.1f} for {size / before[0]:.0f} times"
            print(f"| {name} | {show(size)} | {cpu * 1e3:.1f} | {megabytes:.1f} | {factor} |", flush=True)
            before = (size, cpu)

    def ledger(n_bytes):
        world.spread(n_bytes)
        _, cpu, size = world.cost([world.mux, "status"], rounds=3)
        return cpu, size

    def ledger_end(n_bytes):
        world.fill(n_bytes)
        _, cpu, size = world.cost([world.mux, "log", "-n", "20"], rounds=3)
        return cpu, size

    sizes = [2 * 10**6, 2 * 10**7, 2 * 10**8, 10**9]
    table("ledger, `mux status`", sizes, ledger, lambda size: f"{size / 1e6:.0f} MB")
    table("ledger, `mux log -n 20`", sizes, ledger_end, lambda size: f"{size / 1e6:.0f} MB")
    world.ledger.unlink(missing_ok=True)

    trees = {}

    def tree(n_files):
        """A repository with that many files and one commit. Git reads them as one stream, which takes seconds: `git add` of
        100 000 files writes as many objects."""
        if n_files not in trees:
            place = trees[n_files] = world.root / f"repository-{n_files}"
            call = lambda *args, **given: subprocess.run(["git", "-C", place, *args], check=True, env=world.env, **given)
            place.mkdir()
            call("init", "-q", "-b", "main")
            stream = [b"commit refs/heads/main\ncommitter T <t@e> 0 +0000\ndata 0\n"]
            for number in range(n_files):
                text = f"class Service{number}:\n    def run(self):\n        return {number}\n" + "# filler\n" * 40
                stream.append(f"M 100644 inline d{number // 100}/m{number}.py\ndata {len(text)}\n{text}\n".encode())
            call("fast-import", "--quiet", input=b"".join(stream))
            call("reset", "-q", "--hard")
        return trees[n_files]

    def search(task):
        def measure(n_files):
            command = [world.mux, "run", "--dry-run", "-C", str(tree(n_files)), task.format(n_files // 2)]
            _, cpu, size = world.cost(command, rounds=3)
            return cpu, size

        return measure

    sizes, show = [100, 1000, 10_000, 100_000], lambda n: f"{n} files"
    table("repository, a name that is defined (git's share included)", sizes, search("Fix the bug in `Service{}`"), show)
    nothing = search("Fix the checkout of `PaymentDesk`: payments below zero are taken at night")
    table("repository, a name and words that are nowhere (git's share included)", sizes, nothing, show)

    def reply(n_bytes):
        # A file of a reply has at most 2 MiB.
        parts = max(1, n_bytes >> 20)
        Stub.text = "\n".join(as_file(f"made{part}.py", module(n_bytes // parts)) for part in range(parts))
        clean = lambda: [path.unlink() for path in world.work.glob("made*.py")]
        _, cpu, size = world.cost([world.mux, "run", "--change", "--no-verify", "Create the made*.py files"], 3, clean)
        clean()
        return cpu, size

    sizes = [1 << 10, 1 << 14, 1 << 17, 1 << 20, 1 << 23]
    table("reply, in files of 1 MiB at the most", sizes, reply, lambda size: f"{size >> 10} KiB")

    def answer(n_bytes):
        # Each line its own: an answer that repeats itself is not believed.
        Stub.text = "\n".join(f"Point {n}: {hex(n * 2654435761 % 2**64)} comes before {hex(n**3)}." for n in range(n_bytes // 48))
        _, cpu, size = world.cost([world.mux, "run", "--answer", "Why is the guard not reached?"], 3)
        return cpu, size

    # Longer ones are cut off by the bound on tokens.
    table("answer", [1 << 10, 1 << 14, 1 << 17, 1 << 20], answer, lambda size: f"{size >> 10} KiB")
    Stub.text = ANSWER

    def many(n):
        def used():
            now = resource.getrusage(resource.RUSAGE_CHILDREN)
            return now.ru_utime + now.ru_stime

        began = used()
        running = [world.start([world.mux, "run", "--answer", "Why is the guard not reached?"]) for _ in range(n)]
        for child in running:
            said = child.communicate()[0]
            if child.returncode != 0:
                sys.exit(said.decode())
        return used() - began, 0

    many(1)
    table("runs at a time (sum of all)", [1, 2, 4, 8, 16], many, str)


def peers(world, others):
    Stub.text = ANSWER
    question = "Why is the guard not reached?"
    rows = [("/bin/sh -c : (the floor of a process)", ["/bin/sh", "-c", ":"])]
    body = json.dumps({"model": "stub", "messages": [{"role": "user", "content": question}]})
    post = ["curl", "-s", "-H", "Content-Type: application/json", "-d", body, f"{world.base}/chat/completions"]
    rows.append(("curl, one POST (the floor of a question)", post))
    rows.append(("mux --version", [world.mux, "--version"]))
    rows.append(("mux run, one answer", [world.mux, "run", "--answer", question]))
    for other in others:
        name, command = other.split("=", 1)
        rows.append((name, shlex.split(command.replace("{base}", world.base))))
    print("| program | wall ms | CPU ms | MB |\n| --- | ---: | ---: | ---: |")
    for name, argv in rows:
        wall, cpu, size = world.cost(argv, rounds=11)
        print(f"| {name} | {wall * 1e3:.1f} | {cpu * 1e3:.1f} | {size:.1f} |", flush=True)


# Runs the hook beside it and notes the CPU seconds of it and of all that it started.
TIMED = """#!%s
import os, sys
pid = os.fork()
if pid == 0:
    os.execv(sys.argv[0] + ".mux", [sys.argv[0] + ".mux", *sys.argv[1:]])
_, status, used = os.wait4(pid, 0)
with open(%r, "a") as file:
    print(os.path.basename(sys.argv[0]), used.ru_utime + used.ru_stime, file=file)
sys.exit(os.waitstatus_to_exitcode(status))
"""


def hooks(world, n_commits=300):
    repo, notes = world.work / "repo", world.root / "notes"
    repo.mkdir()
    who = {f"GIT_{who}_{what}": "t@e" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
    env = {**world.env, **who, "GIT_CONFIG_GLOBAL": "/dev/null", "GIT_CONFIG_NOSYSTEM": "1", "GIT_EDITOR": "true"}

    def call(*argv):
        subprocess.run(argv, cwd=repo, env=env, stdin=subprocess.DEVNULL, capture_output=True, check=True)

    def commit(number, *args):
        (repo / f"file{number}.py").write_text(f"def f{number}(value):\n    return value + {number}\n" * 10)
        call("git", "add", "-A")
        call("git", "commit", "-m", f"Add file {number}", *args)

    call("git", "init", "-q", "-b", "main")
    commit(0)
    call("git", "checkout", "-q", "-b", "topic")
    for number in range(1, n_commits + 1):
        commit(number)
    call("git", "checkout", "-q", "main")
    commit(n_commits + 1)
    call(world.mux, "hook", "install")
    for hook in ("prepare-commit-msg", "commit-msg", "pre-commit", "pre-push"):
        place = repo / ".git/hooks" / hook
        place.rename(f"{place}.mux")
        place.write_text(TIMED % (sys.executable, str(notes)))
        place.chmod(0o755)
    print("| what | runs | CPU ms, median | p99 |\n| --- | ---: | ---: | ---: |")

    def row(what, values):
        values = sorted(values)
        at = lambda share: values[min(len(values) - 1, int(len(values) * share))] * 1e3
        print(f"| {what} | {len(values)} | {at(0.5):.2f} | {at(0.99):.2f} |", flush=True)

    def noted():
        lines = notes.read_text().splitlines() if notes.exists() else []
        notes.unlink(missing_ok=True)
        return [(name, float(seconds)) for name, seconds in map(str.split, lines)]

    call("git", "rebase", "-q", "main", "topic")
    rebased = noted()
    if len(rebased) < n_commits:
        sys.exit(f"a rebase of {n_commits} commits has called {len(rebased)} hooks")
    row(f"hooks of a rebase of {n_commits} commits", [seconds for _, seconds in rebased])
    skipped = [world.mux, "hook", "run", "prepare-commit-msg", ".git/COMMIT_EDITMSG", "message"]
    values = []
    for _ in range(n_commits):
        child = subprocess.Popen(skipped, cwd=repo, env=env, stdin=subprocess.DEVNULL)
        _, status, used = os.wait4(child.pid, 0)
        child.returncode = os.waitstatus_to_exitcode(status)
        values.append(used.ru_utime + used.ru_stime)
    row("a hook that mux itself skips", values)
    for number in range(100):
        commit(n_commits + 2 + number)
    ordinary = noted()
    for hook in ("pre-commit", "commit-msg", "prepare-commit-msg"):
        row(f"`{hook}` of an ordinary commit with `-m`, git's share included", [s for name, s in ordinary if name == hook])


def main():
    if len(sys.argv) < 3 or sys.argv[1] not in ("counts", "replay", "growth", "peers", "hooks"):
        sys.exit(__doc__)
    with World(sys.argv[2]) as world:
        print(f"{os.path.getsize(world.mux)} bytes, load {os.getloadavg()[0]:.1f}, {os.cpu_count()} cores", file=sys.stderr)
        if sys.argv[1] == "counts":
            counts(world)
        elif sys.argv[1] == "hooks":
            hooks(world)
        elif sys.argv[1] == "replay":
            replay(world)
        elif sys.argv[1] == "growth":
            growth(world, *sys.argv[3:4])
        else:
            peers(world, sys.argv[3:])


if __name__ == "__main__":
    main()
