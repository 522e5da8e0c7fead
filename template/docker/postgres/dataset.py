"""The project's data sets: add one, fetch what is missing, load what is not loaded.

    python3 docker/postgres/dataset.py dataset | up | seed

`make dataset`, `make up` and `make seed` call it, with SOURCE, TABLE, FORCE and OPTIONS in the environment, as
DATASET_SOURCE and so on. Standard library only. Each step leaves what the next run of the same command goes on from: the
file in data/, then its .env file, then its SQL file, then the table.
"""

import os
import re
import shlex
import sys
import unicodedata
import urllib.parse
from pathlib import Path

import engines
from fetch_data import (
    FetchError,
    fetch_set,
    forget,
    is_link,
    obtain,
    replace_text,
    settings,
    sha256,
    show,
)

HERE = Path(__file__).resolve().parent
PROJECT = HERE.parent.parent
DATA = PROJECT / "data"
OPTIONS = ("HEADER", "COLUMNS", "ENCODING")  # of infer_schema.py
LARGEST = 100 * 1024 * 1024  # bytes that a hosting service takes in one file
# How the formats that are stored as they come begin, and the end of the name by which they are known.
FORMATS = {b"\x1f\x8b": ".gz", b"PK\x03\x04": ".zip", b"BZh": ".bz2", b"\x28\xb5\x2f\xfd": ".zst", b"\xfd7zX": ".xz"}
ENV = """\
# Added with `make dataset`; {table}.sql beside it says what the table looks like.
SEED_TABLE={table}
SEED_FILE={file}
SEED_SAMPLE=
SEED_SHA256={checksum}
# Where the file comes from, tried in turn; "#name" picks a member of a zip archive.
SEED_SOURCES={sources}
"""


class DataSetError(Exception):
    """What was asked for cannot be done; the message says why and what to do."""


class DataSet:
    """One data set, declared by its .env file at the path `env`."""

    def __init__(self, env):
        try:
            values = settings(env)
            self.table, self.sources = values["SEED_TABLE"], shlex.split(values["SEED_SOURCES"])
        except (ValueError, KeyError) as error:
            raise DataSetError(f"{env.relative_to(PROJECT)} is no valid file of settings: {error}") from error
        self.env = env
        self.file = DATA / values["SEED_FILE"] if values["SEED_FILE"] else None
        self.is_first = env == HERE / "dataset.env"
        self.sql = HERE / "initdb.sql" if self.is_first else env.with_suffix(".sql")

    @property
    def is_written(self):
        return has_statements(self.sql)


def has_statements(path):
    """Is there an SQL file at the path, with more in it than comments?"""
    return path.exists() and bool(re.search(r"^(?!\s*--)\s*\S", path.read_text(encoding="utf-8"), re.M))


def data_sets():
    """All data sets that are declared, the first one of the project first."""
    files = [HERE / "dataset.env", *sorted((HERE / "datasets").glob("*.env"))]
    return [found for found in map(DataSet, filter(Path.exists, files)) if found.table]


# Names


def base_name(source):
    """The last part of a path or link; of a link, the place of a zip archive's member is left to file_name."""
    path = urllib.parse.unquote(urllib.parse.urlsplit(source).path) if is_link(source) else source
    return path.rstrip("/").rpartition("/")[2]


def table_name(source):
    """The name of a table for a path or link, as copier.yml derives it."""
    name = re.sub(r"[^a-z0-9]+", "_", base_name(source).split(".")[0].lower()).strip("_") or "data"
    return (name if name[0].isalpha() else f"t_{name}")[:48].rstrip("_")


def file_name(source, table):
    """The name in data/ for a path or link: plain letters, so that no shell and no file system minds."""
    member = source.partition("#")[2] if is_link(source) else ""
    stem, dot, rest = base_name(member or source).partition(".")
    plain = (unicodedata.normalize("NFKD", part).encode("ascii", "ignore").decode() for part in (stem, dot + rest))
    stem, ending = (re.sub(r"[^A-Za-z0-9._-]+", "_", part) for part in plain)
    return (stem.strip("_-") or table)[:100] + ending[:40]


def with_true_ending(path, content):
    """The path, its name with the ending that the file at the path `content` should have and has not."""
    with open(content, "rb") as file:
        start = file.read(4)
    ending = next((ending for magic, ending in FORMATS.items() if start.startswith(magic)), None)
    known = (*FORMATS.values(), ".xlsx", ".ods", ".docx", ".jar") if ending == ".zip" else (ending,)
    if ending is None:
        return path if path.suffix else path.with_name(path.name + ".csv")
    return path if path.name.lower().endswith(known) else path.with_name(path.name + ending)


# The steps


def add(stack, source, table, options):
    """Fetch, declare, infer, load: a further data set from a path or link."""
    source = checked_source(source)
    wanted = table or table_name(source)
    if not re.fullmatch(r"[a-z_][a-z0-9_]{0,62}", wanted):
        raise DataSetError(
            f'TABLE={wanted}: a table name is 1 to 63 lower-case letters, digits and "_", and starts with a letter'
        )
    declared = data_sets()
    known = next((each for each in declared if each.table == wanted), None)
    # Begun and not ended: also the project's own data set, whose file could not be had, or was none that can be read.
    begun = next(
        (each for each in declared if not each.is_written and (each is known or not table and each.is_first)), None
    )
    if known and known.is_written and (known.sources == [source] or known.file == Path(source)):
        check_unchanged(known, source)
        stack.database()
        finish(stack, known, options)
    elif begun and is_link(source) and begun.sources == [source] and begun.file and begun.file.exists():
        stack.database()
        finish(stack, begun, options)
    elif begun:
        stack.database()
        bring(begun.env, begun.table, source, stack, options, replaceable=begun.file)
    elif known:
        raise DataSetError(
            f"{wanted} is a data set of this project already ({known.env.relative_to(PROJECT)}); "
            f"another name: make dataset SOURCE=… TABLE={wanted[:50]}_2"
        )
    else:
        stack.database()
        stack.seed("vacant", wanted)
        bring(HERE / "datasets" / f"{wanted}.env", wanted, source, stack, options)


def check_unchanged(known, source):
    """DataSetError where the file at a path is another one than that in data/, which was made from it."""
    if is_link(source) or not known.file or not known.file.exists() or known.file.samefile(source):
        return
    if sha256(Path(source)) != sha256(known.file):
        raise DataSetError(
            f"{source} has changed since it became data/{known.file.name}, and table {known.table} is made from that. "
            f"To load it anew: cp {shlex.quote(source)} data/{shlex.quote(known.file.name)} && "
            f"make seed TABLE={known.table} FORCE=1; beside the other: make dataset SOURCE=… TABLE={known.table[:50]}_2"
        )


def checked_source(source):
    """A link as it is, a path made absolute; DataSetError where it cannot be either."""
    if re.search(r"[\x00-\x1f\x7f]", source):
        raise DataSetError("SOURCE: a path or link has no line breaks or control characters")
    if is_link(source):
        try:
            parts = urllib.parse.urlsplit(source)
            host, _ = parts.hostname, parts.port  # a port that is no number is found out when it is asked for
        except ValueError as error:
            raise DataSetError(f"SOURCE={source}: this is no valid link ({error})") from None
        if not host:
            raise DataSetError(f"SOURCE={source}: this link names no host")
        return source
    if re.match(r"[A-Za-z][A-Za-z0-9+.-]*://", source):
        raise DataSetError(f"SOURCE={source}: a path, or a link that starts with http:// or https://, please")
    path = Path(os.path.abspath(os.path.expanduser(source)))
    if not path.exists():
        raise DataSetError(f"SOURCE={source}: there is no such file")
    if not path.is_file():
        raise DataSetError(f"SOURCE={source}: this is no file" + ("; it is a folder" if path.is_dir() else ""))
    if not os.access(path, os.R_OK):
        raise DataSetError(f"SOURCE={source}: you may not read this file")
    return str(path)


def bring(env, table, source, stack, options, replaceable=None):
    """Have the file in data/ and its .env file written, then go on; what is refused leaves nothing behind.

    replaceable: the path of a file in data/ that an earlier try has left.
    """
    here = not is_link(source) and Path(source).resolve().parent == DATA.resolve()
    partial = None
    if here:
        target = DATA / Path(source).name
    else:
        target = DATA / file_name(source, table)
        _, partial = obtain([source], target, progress=show(target.name))
        checksum = sha256(partial)
        target = with_true_ending(target, partial)
        if target.exists() and target != replaceable:
            if sha256(target) != checksum:
                forget(partial)
                raise DataSetError(
                    f"data/{target.name} is there already and is another file; to load that one: "
                    f"make dataset SOURCE=data/{target.name}; else move it away"
                )
            here = True
            forget(partial)
    checksum = sha256(target) if here else checksum
    before = env.read_text(encoding="utf-8") if env.exists() else None
    text = ENV.format(
        table=table,
        file=shlex.quote(target.name),
        checksum=checksum,
        sources=shlex.quote(shlex.join([] if target == Path(source) else [source])),
    )
    env.parent.mkdir(exist_ok=True)
    replace_text(env, text)
    if not here:
        os.replace(partial, target)
    try:
        write_sql(stack, DataSet(env), options)
    except engines.StackError:
        # Not a table: all as it was. What was downloaded stays as the part that another try takes up.
        if before is None:
            env.unlink()
        else:
            replace_text(env, before)
        if not here:
            os.replace(target, partial)
            if not is_link(source):
                forget(partial)
        raise
    if not here:
        forget(partial)
    finish(stack, DataSet(env), options)


def write_sql(stack, chosen, options=()):
    """Have the SQL file written from the data file, unless it is; the report is printed."""
    if chosen.is_written:
        return
    words = ["--file", chosen.file, "--table", chosen.table, "--sql", chosen.sql]
    paths = [str(word.relative_to(PROJECT)) if isinstance(word, Path) else word for word in words]
    stack.infer([*paths, *options])
    if chosen.sql.name == "initdb.sql":
        stack.rebuild()  # the image holds that file


def prepare(stack, chosen, options=()):
    """Have the file in data/ and the SQL file written."""
    if not chosen.file:
        raise DataSetError(f"{chosen.env.relative_to(PROJECT)} names no SEED_FILE")
    if not chosen.file.exists():
        source = next(iter(chosen.sources), "")
        if source and not any(is_link(each) or Path(each).expanduser().exists() for each in chosen.sources):
            raise DataSetError(
                f"data/{chosen.file.name} is not here; it came from {source}, on another machine. "
                f"Copy it to data/{chosen.file.name}, then: make up"
            )
        print(fetch_set(chosen.env), flush=True)
    write_sql(stack, chosen, options)


def finish(stack, chosen, options=()):
    """What is left to do for a data set: all of it, or nothing."""
    prepare(stack, chosen, options)
    if chosen.file.name in ignore_large_files(PROJECT):
        how = "a clone fetches it again" if any(map(is_link, chosen.sources)) else "a clone needs a copy of it in data/"
        print(f"data/{chosen.file.name} is over 100 MB, more than a hosting service takes: git ignores it, {how}")
    stack.seed("once", chosen.table)
    print(f"To change a name or type: {chosen.sql.relative_to(PROJECT)}, then: make seed TABLE={chosen.table} FORCE=1")


def fetch(stack):
    """Fetch every file that is missing, and load what is not loaded, real data instead of the synthetic sample."""
    if not data_sets():
        raise DataSetError("There is no data set yet; to add one: make dataset SOURCE=<path or link>")
    stack.database()
    prepared = prepare_all(stack, data_sets())
    stack.seed("replace-sample")
    if not prepared:
        raise DataSetError("")


def up(stack):
    """Load what is not loaded; fetch only what that needs."""
    missing = stack.seed("missing", capture=True).split()
    if not prepare_all(stack, [each for each in data_sets() if each.table in missing]):
        raise DataSetError("")
    stack.seed()
    stack.wait_until_healthy()


def prepare_all(stack, chosen):
    """Prepare each of some data sets, and say why where it cannot be done; True where all is ready."""
    ready = True
    for each in chosen:
        try:
            prepare(stack, each)
        except (DataSetError, FetchError, engines.StackError) as error:
            print(error, file=sys.stderr, end="\n" if str(error) else "")
            ready = False
    return ready


def ignore_large_files(project):
    """Have git ignore data files that no hosting service takes; the names of those it has not ignored before."""
    ignore = project / ".gitignore"
    lines = ignore.read_text(encoding="utf-8").splitlines() if ignore.exists() else []
    files = (file for file in sorted((project / "data").iterdir()) if file.is_file() and file.suffix != ".part")
    large = [file.name for file in files if file.stat().st_size > LARGEST and f"/data/{file.name}" not in lines]
    if large:
        with ignore.open("a", encoding="utf-8", newline="\n") as file:
            file.write("\n# Over 100 MB, more than a hosting service takes; `make up` on a clone fetches it\n")
            file.writelines(f"/data/{name}\n" for name in large)
    return large


def main():
    action = sys.argv[1] if len(sys.argv) > 1 else ""
    given = {name: os.environ.get(f"DATASET_{name}", "") for name in ("SOURCE", "TABLE", "FORCE", *OPTIONS)}
    options = [f"--{name.lower()}={given[name]}" for name in OPTIONS if given[name]]
    try:
        stack = engines.chosen(PROJECT)
        if action == "seed":
            stack.database()
            stack.seed("force" if given["FORCE"] else "once", *filter(None, [given["TABLE"].strip()]))
        elif action == "up":
            up(stack)
        elif action == "dataset" and given["SOURCE"].strip():
            add(stack, given["SOURCE"].strip(), given["TABLE"].strip(), options)
        elif action == "dataset":
            fetch(stack)
        else:
            sys.exit(__doc__.split("\n\n")[1].strip())
    except (DataSetError, FetchError, engines.StackError) as error:
        sys.exit(str(error) or 1)
    except KeyboardInterrupt:
        sys.exit("Interrupted; the same command goes on from here.")
    except OSError as error:
        sys.exit(f"{error.filename or 'data/'}: {error.strerror or error}")


if __name__ == "__main__":
    main()
