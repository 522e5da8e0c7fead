"""`python3 .dsproj <command> [NAME=value ...]`: what the Makefile calls. Imports wait until they are needed: git calls this.

make hands its variables over in the environment, as DSPROJ_<NAME>: unlike a command line, that takes any character.
"""

from __future__ import annotations

import errno
import os
import re
import sys
from typing import Any, Callable

from dsproj.errors import Problem
from dsproj.report import Screen

Given = dict[str, str]
Commands = dict[str, tuple[str, Callable[[Screen, Given], None]]]  # what each is for, in a line, and what it does
GIVEN = "DSPROJ_"
NO = ("", "0", "no", "false")  # FORCE=0 is no force


WORK = "this_jupyter"  # where notebooks run, and what a person types for them
DATABASE = ("this_postgres",)  # what nearly all that a person runs there speaks to
STORES = (*DATABASE, "this_redis")


def usable(*needed: str, made: bool = False, destroys: bool = False) -> Any:
    """The engine that ENGINE names, usable here, the needed services running; `made`: .env is made where there is none."""
    from dsproj.host import away, engine, first_env

    away.refuse(destroys)
    if made:
        first_env.make()
    chosen = engine.chosen()
    chosen.check()
    if needed:
        chosen.need(*needed)
    return chosen


def _host(module: str) -> Any:
    """A module beside this one."""
    from importlib import import_module

    return import_module(f"dsproj.host.{module}")


def _up(report: Screen, given: Given) -> None:
    _host("away").refuse()
    _, not_loaded = _host("up").up(report)
    _links()
    if not_loaded:
        raise not_loaded


def _remote(report: Screen, given: Given) -> None:
    _host("remote").go(report, given.get("HOST", "").strip(), given.get("DIR", "").strip())


def _remote_down(report: Screen, given: Given) -> None:
    if _host("remote").back(report):
        _up(report, given)


def _url(report: Screen, given: Given) -> None:
    if _host("away").read().get("phase") == "away":
        return _print(_host("remote").here())
    if not _host("engine").chosen().is_inside():  # a terminal of JupyterLab: it runs
        usable(WORK)
    _links()
    _speak(sys.stdout)


def _speak(stream: Any) -> None:
    """Say which stores are elsewhere."""
    from dsproj.settings import Settings

    for line in _host("stores_elsewhere").lines(Settings()):
        print(line, file=stream)


def _links() -> None:
    _print(_host("links").links())


def _print(links: list[tuple[str, str]]) -> None:
    for what, address in links:
        print(f"{what:<11} {address}")


def _ps(report: Screen, given: Given) -> None:
    for line in _host("states").table(usable()):
        print(line)


def _stats(report: Screen, given: Given) -> None:
    for line in _host("states").memory(usable()):
        print(line)


def _psql(report: Screen, given: Given) -> None:
    query = given.get("Q", "")
    alone = ["--no-psqlrc", "--pset=pager=off", "--set=ON_ERROR_STOP=1", "--command", query] if query.strip() else []
    usable("this_postgres").replace("this_postgres", "psql", *alone)


def _exec(report: Screen, given: Given) -> None:
    if not given.get("CMD", "").strip():
        raise Problem("Which command?", 'make exec CMD="python -V"')
    usable(*DATABASE).replace(WORK, "bash", "-c", given["CMD"])


def _seed(report: Screen, given: Given) -> None:
    table, to, force = (given.get(name, "").strip() for name in ("TABLE", "TO", "FORCE"))
    _host("datasets").seed(usable(made=True), report, table=table, force=force not in NO, to=to)


def _dataset(report: Screen, given: Given) -> None:
    if dropped := given.get("DROP", "").strip():
        return _host("drop").drop(
            usable(made=True), report, dropped, given.get("FORCE", "") not in NO, given.get("TO", "")
        )
    names = ("SOURCE", "TABLE", "MODE", "HEADER", "COLUMNS", "ENCODING", "BAD", "WIDTHS", "FILES", "FILENAME", "TO")
    _host("datasets").dataset(usable(made=True), report, **{name.lower(): given.get(name, "") for name in names})


def _service(report: Screen, given: Given) -> None:
    drop = given.get("DROP", "").strip()
    words = (given.get("NAME", "").strip(), given.get("FUNCTION", "").strip(), "" if drop in NO else drop)
    _host("services").service(usable(made=True), report, *words)


def _notebook(report: Screen, given: Given) -> None:
    from dsproj import journal

    path = journal.make(given.get("NAME", ""))
    print(f"{path.parent.name}/{path.name}")


def _notebooks(report: Screen, given: Given, what: str = "run") -> None:
    """Run notebooks where kernels run, or by the queue. All but the queue's end with this process, which holds their pipe."""
    from subprocess import PIPE

    from dsproj.settings import PROJECT

    notebook = given.get("NB", "")
    if os.path.isfile(notebook):  # it has another place in a container
        notebook = os.path.relpath(os.path.realpath(notebook), PROJECT)
    words = [notebook, given.get("SET", "")] if what == "run" else []
    if words and given.get("QUEUE", "") not in NO:
        what = "queue"
    how: Any = {"report": report, "stdin": PIPE, "start_new_session": True}
    try:
        usable(*STORES).call("this_jupyter", "dsproj.kernel.run", what, *words, **how)
    except KeyboardInterrupt:
        if what == "queue":
            raise Problem("Interrupted. The workers go on with the notebooks; the dashboard shows them.") from None
        raise Problem("Interrupted: the notebook that ran is stopped, and what is not whole is not kept.") from None


def _scale(report: Screen, given: Given) -> None:
    from dsproj.settings import MOST_WORKERS

    wanted = given.get("N", "").strip()
    if not wanted.isdecimal() or int(wanted) > MOST_WORKERS:
        raise Problem(f"How many workers? N={wanted} is no number from 0 to {MOST_WORKERS}", "make scale N=4")
    usable().scale(int(wanted), report)


def _add(report: Screen, given: Given) -> None:
    _host("packages").add(usable(), report, given.get("PKG", ""))


def _lock(report: Screen, given: Given) -> None:
    _host("packages").lock(report, given.get("UPGRADE", "") not in NO)
    _host("images").lock(report)


def _publish(report: Screen, given: Given) -> None:
    _host("first_env").make()
    # There are no images without Docker, whatever runs the servers.
    if problem := _host("docker_program").trouble(then="make publish"):
        raise problem
    docker = _host("docker").Docker()
    docker.check()
    _host("publish").publish(docker, report, given.get("TO", ""))


def _update(report: Screen, given: Given) -> None:
    _host("update").update(report, given.get("DRY_RUN", "") not in NO, [])


def _restore(report: Screen, given: Given) -> None:
    _host("backup").restore(usable(*STORES), report, given.get("FILE", ""), given.get("FORCE", "") not in NO)


def _upgrade(report: Screen, given: Given) -> None:
    _host("upgrade_postgres").upgrade(usable(), report, given.get("TO", "").strip())


def _destroy(report: Screen, given: Given) -> None:
    force, built = (given.get(name, "") not in NO for name in ("FORCE", "IMAGES"))
    _host("destroy").destroy(usable(destroys=True), report, force, built)


def _help(report: Screen, given: Given) -> None:
    for name, (text, _) in _commands().items():
        if name in HEADINGS:
            print(HEADINGS[name])
        print(f"  make {name:<17} {text}")


def _inside(*words: str, needed: tuple[str, ...] = DATABASE) -> Callable[[Screen, Given], None]:
    """Becomes a program that runs where the notebooks run."""
    return lambda report, given: usable(*needed).replace(WORK, *words)


COMMANDS: Commands = {
    "help": ("this list", _help),
    "up": ("start everything, wait until it is healthy, load what is not loaded", _up),
    "down": ("stop everything; the data stays", lambda report, given: usable().stop(report)),
    "url": ("the links: JupyterLab, with its token, and the job dashboard", _url),
    "dataset": (
        "add a file or link: SOURCE=… [TABLE=… MODE=append TO=mongo]; withdraw: DROP=…; alone: fetch",
        _dataset,
    ),
    "seed": ("load the data sets, each once; a table anew: TABLE=… FORCE=1", _seed),
    "psql": ('a database prompt, or one query: Q="SELECT 1"', _psql),
    "notebook": ('a new one, of today: NAME="Encode target"', _notebook),
    "run": ('from top to bottom, all or some: [NB=3] [SET="year=2025"]; by the workers: QUEUE=1', _notebooks),
    "report": ("all results as pages: reports/index.html", lambda report, given: _notebooks(report, given, "report")),
    "scale": ("how many workers: N=4", _scale),
    "service": ("a function that runs on and on: NAME=feed FUNCTION=lib.feed.run; withdraw: DROP=feed", _service),
    "add": ("for notebooks and jobs: PKG=polars, or PKG=polars==1.30", _add),
    "lock": ("the versions of all of them anew; the newest that fit: UPGRADE=1", _lock),
    "ps": ("what runs, and is it healthy?", _ps),
    "stats": ("memory of each service: used, limit, peak, and the variable to change", _stats),
    "logs": ("follow them, of one service: S=this_worker", lambda report, given: usable().logs(given.get("S", ""))),
    "shell": ("a shell where the notebooks run", _inside("bash")),
    "exec": ('a command there: CMD="python -V"', _exec),
    "test": ("the project's tests, on the running servers", _inside("python", "-m", "pytest", "tests", needed=STORES)),
    "check": (
        "lint the code; look for keys, and for packages beside the lock",
        _inside("python", "-m", "dsproj.kernel.check", needed=()),
    ),
    "remote": ("to a larger machine, by ssh, and used from here: HOST=user@machine [DIR=…]", _remote),
    "remote-down": ("back from there, with all data, files and commits", _remote_down),
    "publish": ("the commit as images, pushed: TO=ghcr.io/<name>, or what image_namespace says", _publish),
    "backup": (
        "all data of the stores into one file in backups/",
        lambda report, given: _host("backup").save(usable(*STORES), report),
    ),
    "restore": ("put one back: FILE=backups/NAME.tar; asks first, unless FORCE=1", _restore),
    "update": ("what the template has learnt since; only to look at it: DRY_RUN=1", _update),
    "upgrade-postgres": ("to a new major version, with all data: TO=19", _upgrade),
    "destroy": ("all of it gone, data too, images too with IMAGES=1; asks first, unless FORCE=1", _destroy),
}
# Those that may change what a store holds: before they do, they say which stores are elsewhere. `up` does when it has asked them.
SPEAKS = "dataset seed psql backup restore upgrade-postgres destroy remote remote-down".split()
# The headings of the list, each above its first command.
HEADINGS = {"up": "Start and stop", "dataset": "Data", "notebook": "Notebooks", "scale": "Jobs", "add": "Packages"}
HEADINGS |= {"ps": "Look inside", "test": "Test", "publish": "Share", "backup": "Keep safe, renew, remove"}
HEADINGS |= {"remote": "A larger machine", "cluster": "Other machines"}


def _commands() -> dict[str, tuple[str, Callable[[Screen, Given], None]]]:
    """Those above, and in a project with a cluster its own, some of them in place of one above."""
    if not os.path.exists(os.path.join(os.path.dirname(__file__), "cluster.py")):
        return COMMANDS
    return COMMANDS | _host("cluster").COMMANDS


def _read(command: str, words: list[str]) -> Given:
    """What make or the caller has given: {NAME: value}."""
    known = {key[len(GIVEN) :]: text for key, text in os.environ.items() if key.startswith(GIVEN)}
    given = {key: text for key, text in known.items() if text}
    # make takes source=x as well as SOURCE=x, and hands it on in its flags alone.
    for name in re.findall(r"(?:^|(?<!\\)\s)(\w+)=", os.environ.get("MAKEFLAGS", "").partition("-- ")[2]):
        if name not in known and name.upper() in known:
            raise Problem(f"{name}=…: variables are written in capitals", f"make {command} {name.upper()}=…")
    for word in words:
        key, equals, text = word.partition("=")
        if not equals or not key.isupper():
            raise Problem(f"{word}: what a command needs is given as NAME=value", "make help")
        given[key] = text
    return given


def _run(name: str, words: list[str], report: Screen) -> None:
    commands = _commands()
    if name not in commands:
        raise Problem(f"There is no command {name}", "make help")
    if name != "help":
        _host("network").apply()
    if name in SPEAKS:
        _speak(sys.stderr)
    if name == "exec" and words and "=" not in words[0]:
        usable(*DATABASE).replace(WORK, *words)
    commands[name][1](report, _read(name, words))


def main(words: list[str]) -> None:
    name, rest = (words[0], words[1:]) if words else ("help", [])
    if name == "clean-notebook":  # git calls it, once a notebook
        return _host("notebook_cells").main()
    report = Screen()
    try:
        return _run(name, rest, report)
    except Problem as problem:
        if not problem.cure and os.strerror(errno.ENOSPC) in problem.what:  # of a program, such as pg_dump
            problem.cure = f"make room, then: make {name}"
        ending = str(problem)
    except KeyboardInterrupt:
        ending = (
            "Interrupted. What has been started runs on, what was not finished is as it was; the same command goes on."
        )
    except BrokenPipeError:  # the reader, such as `head`, has seen enough
        os._exit(1)
    except OSError as error:
        ending = f"{error.filename or name}: {error.strerror or error}"
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            ending = f"The disk is full: {error.filename or ''}\nTo finish: make room, then: make {name}"
    report.clear()
    sys.exit(ending or 1)
