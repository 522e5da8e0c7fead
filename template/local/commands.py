"""The commands of the local stack: up, down, ps, logs, url, seed, run, scale."""

import argparse
import contextlib
import errno
import fcntl
import http.client
import os
import re
import shlex
import shutil
import subprocess
import sys
import time
import xmlrpc.client

import environment
import health
import supervision
import url
from env import PROJECT, change, free_port, port_is_free, write_workers
from paths import LOGS, POSTGRES, PYTHON, RUN, STATE, make_folders, marker
from settings import Settings, fingerprint, store_environment, work_environment

PATIENCE = 60  # seconds until a service that has not become healthy is reported
SHORT_PATIENCE = 8  # the same for one that keeps ending
PORTS = {
    "this_postgres": "PGPORT",
    "this_redis": "REDIS_PORT",
    "this_mongo": "MONGO_PORT",
    "this_monitor": "MONITOR_PORT",
    "this_jupyter": "JUPYTER_PORT",
}
FULL = 20_000_000  # bytes that a disk has left at the most when it is called full
AGAIN = "make up ENGINE=local"


class StackError(Exception):
    """What the user asked for cannot be done; the message says why and what to do."""


def say(what, text, seconds=None):
    """A line on the screen; where it tells of something that took time, with the seconds."""
    print(f"{what:<14} {text}" + ("" if seconds is None else f"  ({seconds:.1f} s)"), flush=True)


def services(settings):
    """The names of the project's processes, as many workers as .env says among them."""
    stores = ["this_postgres", "this_redis", *(["this_mongo"] if settings.mongo else [])]
    workers = [f"this_worker_{number}" for number in range(1, settings.workers + 1)]
    return [*stores, *workers, "this_monitor", "this_jupyter"]


def process_names(service, settings):
    """The processes of a service that the user named."""
    if service == "this_worker":
        return [name for name in services(settings) if name.startswith("this_worker")]
    if service not in services(settings):
        known = " ".join(dict.fromkeys(re.sub(r"_\d+$", "", name) for name in services(settings)))
        raise StackError(f"There is no service {service}; there are: {known}")
    return [service]


@contextlib.contextmanager
def alone():
    """Two terminals, one stack: the second command waits for the first."""
    with open(RUN / "lock", "w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print("Another command is starting or stopping this stack; waiting for it.", flush=True)
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def prepare():
    """The settings and the folders, or the reason why not."""
    if STATE.exists() and STATE.stat().st_uid != os.geteuid():
        owner = STATE.stat().st_uid
        raise StackError(f".local/ belongs to uid {owner}, and this is uid {os.geteuid()}: run it as that user.")
    if ":" in str(PROJECT):
        raise StackError(f"{PROJECT}: a ':' in the folder's name cannot stand in PATH; rename the folder.")
    make_folders()
    settings = Settings()
    for note in settings.notes:
        print(note)
    return settings


def ports(settings):
    """The port of each variable that the project uses."""
    return {name: settings.port(name) for service, name in PORTS.items() if service in services(settings)}


def check_settings(settings):
    """ValueError or StackError where .env gives no port, or one port twice."""
    taken = {}
    for name, port in ports(settings).items():
        if port in taken:
            raise StackError(f".env: {name} and {taken[port]} are both {port}; give one of them another port.")
        taken[port] = name


def not_from_inside():
    """A restart ends JupyterLab's terminals, and this command with them."""
    if os.environ.get("DSPROJ_STACK") == marker():
        raise StackError("This would stop JupyterLab, in whose terminal it runs: use a terminal outside.")


def check_ports(names, settings):
    """Say which variables to change where other programs have the ports; all of them at once."""
    taken, lines = set(ports(settings).values()), []
    for name in names:
        if (variable := PORTS.get(name)) and not port_is_free(port := settings.port(variable)):
            taken.add(other := free_port(port + 1, taken))
            lines.append(f"Port {port} of {name} is taken by another program. Write {variable}={other} into .env.")
    if lines:
        raise StackError("\n".join([*lines, f"Then: {AGAIN}"]))


def settle_ports(settings):
    """Before the very first start nobody knows the ports yet: a busy one gives way to the next that is free."""
    if POSTGRES.exists() or settings["ENGINE"] != "local":
        return
    taken, moved = set(ports(settings).values()), {}
    for name, port in ports(settings).items():
        if not port_is_free(port):
            taken.add(other := free_port(port + 1, taken))
            moved[name] = str(other)
            say("ports", f"{port} is busy: {name}={other} in .env")
    if moved:
        change(moved)
        settings.values |= moved


def wait_until_healthy(names, check, patience=PATIENCE):
    """Show each service as it becomes healthy; StackError with the end of the log of one that does not."""
    start, waiting = time.monotonic(), list(names)
    while waiting:
        known = supervision.processes()
        for name in list(waiting):
            reason = check(name, known.get(name))
            if reason is None:
                waiting.remove(name)
                say(name.removesuffix("_1"), "healthy", time.monotonic() - start)
            elif time.monotonic() - start > (patience if is_alive(known.get(name)) else SHORT_PATIENCE):
                raise StackError(failure(name, reason))
        if waiting:
            time.sleep(0.1)


def is_alive(process):
    return process is not None and process["statename"] in ("STARTING", "RUNNING")


def failure(name, reason):
    """What the user needs to see of a service that is not healthy."""
    log = LOGS / f"{name}.log"
    try:
        lines = log.read_text(encoding="utf-8", errors="replace").splitlines()[-10:]
    except OSError:
        lines = []
    lines = [line for line, before in zip(lines, [None, *lines], strict=False) if line != before]
    if shutil.disk_usage(STATE).free < FULL:
        reason = "the disk is full"
    head = f"{name} is not healthy: {reason}. The end of .local/logs/{name}.log:"
    return "\n".join([head, *(f"  {line[:200]}" for line in lines), f"Once mended: {AGAIN}"])


def ensure_supervisord(names, settings):
    """Have a supervisord that runs with the present settings; ends what a killed one has left."""
    if supervision.answers():
        if (RUN / "fingerprint").exists() and (RUN / "fingerprint").read_text() == fingerprint():
            return
        not_from_inside()
        say("settings", "changed since the start; restarting")
        supervision.stop_all(lambda name: None)
    else:
        supervision.stop_leftovers()
        settle_ports(settings)
    check_ports(names, settings)
    supervision.start_supervisord()
    (RUN / "fingerprint").write_text(fingerprint())


def up(arguments):
    settings = prepare()
    check_settings(settings)
    if settings["ENGINE"] != "local" and not POSTGRES.exists():
        print("What Docker's volumes hold stays there: the local stack has data folders of its own, in .local/.")
        print("To stay with it, write ENGINE=local into .env.")
    with alone():
        start = time.monotonic()
        environment.ensure(lambda text: say("environment", text))
        if (took := time.monotonic() - start) > 1:
            say("environment", "ready", took)
        if arguments.service:
            bring_up(process_names(arguments.service, settings), settings)
        else:
            bring_up_all(settings)


def bring_up(names, settings):
    """Start some services; for the database, an answer will do, since the seed comes after it."""
    ensure_supervisord(services(settings), settings)
    known = supervision.processes()
    stopped = [name for name in names if not is_alive(known.get(name))]
    check_ports(stopped, settings)
    for name in stopped:
        if name in known:  # waiting for its next try
            supervision.stop(name)
        supervision.start(name)

    def check(name, process):
        if name == "this_postgres" and is_alive(process):
            return health.postgres_answers(settings)
        return health.check(name, settings, process)

    wait_until_healthy(names, check)


def bring_up_all(settings):
    bring_up(services(settings), settings)
    stop_surplus_workers(settings)
    if health.this_postgres(settings, None):
        load_data()


def stop_surplus_workers(settings):
    for name in sorted(supervision.processes().keys() - services(settings)):
        if name.startswith("this_worker_"):
            supervision.stop(name)
            say(name, "stopped")


def down(arguments):
    if not STATE.exists():
        print("Nothing runs.")
        return
    prepare()
    with alone():
        not_from_inside()
        stopped = supervision.stop_all(lambda name: say(name.removesuffix("_1"), "stopped"))
        supervision.stop_leftovers()
        if not stopped:
            print("Nothing runs.")


def ps(arguments):
    settings = Settings()
    known = supervision.processes() if RUN.exists() else {}
    names = services(settings)
    names += sorted((name for name in known if name not in names), key=lambda name: (len(name), name))
    print(f"{'SERVICE':<16}{'PID':<9}{'PORT':<7}{'UP':<11}STATE")
    for name in names:
        process = known.get(name)
        reason = health.check(name, settings, process)
        state = "healthy" if reason is None else reason if reason == "stopped" else f"unhealthy: {reason}"
        port = settings.port(PORTS[name]) if name in PORTS else ""
        running = process and process["pid"]
        duration = time.strftime("%H:%M:%S", time.gmtime(process["now"] - process["start"])) if running else ""
        label = name if len(names) > 6 else name.removesuffix("_1")
        print(f"{label:<16}{running or '':<9}{port:<7}{duration:<11}{state}")
    if not known and health.this_redis(settings, None) is None:
        print(f"Servers run without supervisord, which must have been killed; this sets it right: {AGAIN}")
    if settings.mongo:
        print("this_mongo is SecantusDB, a young server with MongoDB's protocol; MongoDB itself needs ENGINE=docker.")


def logs(arguments):
    settings = Settings()
    everything = [*services(settings), *supervision.processes()]
    names = process_names(arguments.service, settings) if arguments.service else everything
    files = [LOGS / f"{name}.log" for name in dict.fromkeys(names)]
    files = [os.path.relpath(file) for file in files if file.exists()]
    if not files:
        raise StackError(f"There is no log yet; {AGAIN} starts the stack.")
    os.execvp("tail", ["tail", "-n", "100", "-F", *files])


def show_url(arguments):
    Settings()
    for what, address in url.links():
        print(f"{what:<11} {address}")


def need_environment():
    if not PYTHON.exists():
        raise StackError(f"The local stack is not installed yet; start it: {AGAIN}")


def seed(arguments):
    need_environment()
    settings = Settings()
    if (reason := health.postgres_answers(settings)) is not None:
        raise StackError(f"this_postgres does not answer ({reason}); start it: {AGAIN}")
    values = store_environment(settings) | {"DATA_DIR": str(PROJECT / "data")}
    if subprocess.run(["bash", str(health.SEED), *arguments.words], env=values, cwd=PROJECT).returncode:
        sys.exit(1)  # it has said why


def load_data():
    """Load what is not loaded; the data file, or its schema, may have to be made first."""
    command = [sys.executable, str(PROJECT / "docker" / "postgres" / "dataset.py"), "up"]
    if subprocess.run(command, env=os.environ | {"ENGINE": "local"}, cwd=PROJECT).returncode:
        sys.exit(1)  # it has said why


def run(arguments):
    need_environment()
    if not arguments.command:
        raise StackError("What shall be run? For example: python3 local/stack.py run psql")
    values = work_environment(Settings())
    os.chdir(PROJECT)
    try:
        os.execvpe(arguments.command[0], arguments.command, values)
    except FileNotFoundError:
        raise StackError(f"{shlex.quote(arguments.command[0])}: there is no such command.") from None


def scale(arguments):
    prepare()
    with alone():
        write_workers(arguments.workers)
        settings = Settings()
        if not supervision.answers():
            raise StackError(f"The number is noted, but the stack does not run; start it: {AGAIN}")
        stop_surplus_workers(settings)
        bring_up(services(settings), settings)


def parse(words):
    parser = argparse.ArgumentParser(prog="local/stack.py", description="The project's servers as local processes.")
    commands = parser.add_subparsers(required=True, metavar="command")

    def command(name, function, text):
        added = commands.add_parser(name, help=text, description=text)
        added.set_defaults(function=function)
        return added

    command("up", up, "start everything, wait until it is healthy, load the data").add_argument("service", nargs="?")
    command("down", down, "stop everything; the data stays")
    command("ps", ps, "what runs, and is it healthy?")
    command("logs", logs, "follow the logs").add_argument("service", nargs="?")
    command("url", show_url, "the links")
    command("seed", seed, "load the data sets, by seed.sh").add_argument("words", nargs="*", metavar="mode table")
    command("run", run, "run a command in the stack's environment").add_argument("command", nargs=argparse.REMAINDER)
    command("scale", scale, "run N workers").add_argument("--workers", type=int, required=True, metavar="N")
    return parser.parse_args(words)


def main():
    arguments = parse(sys.argv[1:])
    try:
        arguments.function(arguments)
    except (StackError, environment.InstallError, supervision.SupervisionError, ValueError) as error:
        sys.exit(str(error))
    except KeyError as missing:
        sys.exit(f"{missing} is not in .env; complete it with: python3 local/env.py")
    except KeyboardInterrupt:
        sys.exit("Stopped waiting. What has been started runs on; to stop it: make down ENGINE=local")
    except (http.client.HTTPException, xmlrpc.client.Error) as error:
        sys.exit(f"supervisord answers with an error ({error}); start afresh: make down up ENGINE=local")
    except BrokenPipeError:  # the reader, such as `head`, has seen enough
        os._exit(1)
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            sys.exit(f"The disk is full: {error.filename or STATE}. Make room, then: {AGAIN}")
        sys.exit(f"{error.filename or STATE}: {error.strerror or error}")
