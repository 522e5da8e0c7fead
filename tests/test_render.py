"""What is rendered: for every answer the right files, valid and lint-clean, with no Jinja left over."""

import ast
import hashlib
import itertools
import json
import os
import re
import shlex
import shutil
import stat
import sys
from datetime import date
from pathlib import Path

import copier
import nbformat
import pytest
import yaml
from conftest import ROOT, checked, command

sys.path.insert(0, str(ROOT / "template" / ".dsproj"))

from dsproj import locks, names
from dsproj.host import places
from dsproj.host.engine import memory_variable

DATASETS = ["adult", "breast_cancer", "csv", "none"]
STACKS = ["minimal", "scipy", "datascience", "r", "tensorflow", "pytorch", "pyspark"]

NOTEBOOKS = [
    "1-Examine_Database_Requirements",
    "2-Initial_Database_Connection",
    "3-Verify_Database_Connection",
    "4-Develop_encoding_target_function",
    "5-Encode_target",
    "6-Which_size_breaks_which_model",
    "7-Share_State_Between_Notebooks",
    "8-Fit_Model",
]
# A stack's own notebook comes last of all.
OF_STACK = {
    "r": "Read_Table_In_R", "datascience": "Read_Table_In_R", "tensorflow": "Fit_With_TensorFlow",
    "pytorch": "Fit_With_PyTorch", "pyspark": "Query_With_Spark",
}  # fmt: skip

WITH_MONGO = [*NOTEBOOKS, "9-Explore_Documents"]

# What the user sees. All of .dsproj/ comes beside it, as it is.
FILES = {
    ".copier-answers.yml", ".dockerignore", ".env.example", ".gitattributes", ".gitignore",
    "CITATION.cff", ".devcontainer/devcontainer.json", ".github/workflows/ci.yml", ".vscode/extensions.json", ".vscode/settings.json",
    ".pre-commit-config.yaml", "Makefile", "README.md", "docker-compose.yml", "pyproject.toml",
    "config/jupyter.env.example", "config/services.json", "data/README.md",
    "docker/jupyter/Dockerfile", "docker/jupyter/requirements.txt", "docker/jupyter/requirements.lock",
    "docker/postgres/Dockerfile", "docker/postgres/datasets/README.md", "docker/postgres/get_data.sh",
    "docker/postgres/get_table.sh",
    "docker/postgres/initdb.sql",
    "lib/__init__.py", "lib/cache.py", "lib/fitting.py", "lib/jobs.py", "lib/memory.py", "lib/models.py", "lib/postgres.py",
    "local/requirements.txt", "local/requirements.lock", "local/stack.py", "local/supervisord.conf",
    "tests/conftest.py", "tests/test_cache.py", "tests/test_jobs.py", "tests/test_models.py", "tests/test_postgres.py",
    "ipynb/README.md", *(f"ipynb/20261122-{name}.ipynb" for name in NOTEBOOKS),
}  # fmt: skip

OF_MONGO = {
    "lib/mongo.py", "tests/test_mongo.py", "data/field_notes.ndjson",
    "docker/mongo/datasets/README.md", "docker/mongo/datasets/field_notes.env",
    f"ipynb/20261122-{WITH_MONGO[-1]}.ipynb",
}  # fmt: skip

OF_CLUSTER = {
    ".dsproj/dsproj/host/cluster.py", "docker/cluster/targets.mk", "docker/cluster/hub.yml", "docker/cluster/workers.yml",
    *(f".dsproj/dsproj/kernel/{name}.py" for name in ("cluster_worker", "same_code")),
    *(f".dsproj/dsproj/kernel/{name}.py" for name in ("cluster", "cluster_server")), "lib/cluster.py",
}  # fmt: skip
# What has a line or two more with it.
WITH_CLUSTER = {
    ".copier-answers.yml", ".env.example", "docker-compose.yml", "docker/jupyter/requirements.lock",
    "docker/jupyter/requirements.txt", "ipynb/README.md", "local/requirements.lock",
}  # fmt: skip

# The names that the documentation lists: what notebooks may import of lib/, and lib/ of the machine room.
OF_LIB = {
    "lib.cache": {"Unavailable", "connect_to_redis", "get", "put"},
    "lib.jobs": {
        "JobsFailed", "NoWorker", "enqueue_each", "enqueue_ranges", "progress", "queue", "wait", "watch",
    },
    "lib.fitting": {"evaluate", "features", "fit"},
    "lib.memory": {"limit", "peak"},
    "lib.models": {"list", "load", "save"},
    "lib.mongo": {"Unavailable", "collection", "connect_to_mongo", "load_vectors", "nearest", "store_vectors"},
    "lib.postgres": {
        "CODES", "LABEL", "TABLE", "TARGET", "Unavailable", "connect_to_postgres", "encode_target", "encode_targets",
        "load_array", "nearest", "read_frame", "store_array", "write_frame",
    },
}  # fmt: skip
OF_ROOM = {
    "dsproj.kernel.redis_client": {"connect_to_redis"},
    "dsproj.kernel.arrays": {"load_array", "nearest", "store_array"},
    "dsproj.kernel.connection": {"connect_to_postgres", "identifier", "transaction"},
    "dsproj.kernel": {"frames_read", "frames_write", "redis_values", "values"},
    "dsproj.kernel.jobs": {"enqueue_each", "enqueue_ranges", "queue"},
    "dsproj.kernel.memory": {"limit", "peak"},
    "dsproj.kernel.models": {"list_models", "load", "save"},
    "dsproj.kernel.progress": {"progress", "watch"},
    "dsproj.kernel.waiting": {"JobsFailed", "NoWorker", "wait"},
    "dsproj.kernel.mongo_client": {"collection", "connect_to_mongo"},
    "dsproj.kernel.vectors": {"load_vectors", "nearest", "store_vectors"},
    "dsproj.kernel.where": {"Unavailable"},
}
OF_OTHERS = {
    "IPython",
    "itables",
    "jupyter_client",
    "keras",
    "matplotlib",
    "numpy",
    "pandas",
    "psycopg2",
    "pymongo",
    "pyspark",
    "sklearn",
    "tensorflow",
    "threadpoolctl",
    "torch",
}

# How the machine room is read, by the interpreter that its parts are for; what is the user's has pyproject.toml.
ROOM_RULES = [
    "--isolated", "--no-cache", "--config", "line-length=120", "--config", "lint.isort.known-first-party=['dsproj']",
]  # fmt: skip
ROOM_CHECKS = [
    *ROOM_RULES, "--select=E,F,W,I,UP,B,SIM,C90", "--ignore=E501,SIM905", "--config", "lint.mccabe.max-complexity=15",
]  # fmt: skip


def of_stack(stack, mongo):
    return [f"{10 if mongo else 9}-{OF_STACK[stack]}"] if stack in OF_STACK else []


def source_of(dataset):
    return {"dataset_source": "/somewhere/crops.csv"} if dataset == "csv" else {}


def files(project):
    return {str(path.relative_to(project)) for path in project.rglob("*") if path.is_file()}


def make_env(project, engine):
    """.env, as generation and the first `make up` make it."""
    script = "import sys; from dsproj.host import first_env; first_env.make(sys.argv[1])"
    checked(sys.executable, "-c", script, engine, cwd=project, env=os.environ | {"PYTHONPATH": ".dsproj"})


@pytest.fixture(scope="module")
def variants(template, tmp_path_factory):
    """Every answer that changes files, and the pairs that meet in one: {(dataset, stack, mongo): folder}."""
    base = tmp_path_factory.mktemp("variants")
    rendered = {}
    for dataset, stack, mongo in itertools.product(DATASETS, STACKS, [False, True]):
        # Two names of images that lack scikit-learn and pandas stand for all where the data set is another one.
        if dataset != "adult" and stack != "scipy" and (mongo or stack not in ("minimal", "r")):
            continue
        target = base / f"{dataset}-{stack}-{mongo}"
        data = {"dataset": dataset, "jupyter_stack": stack, "mongo": mongo, "created_on": "2026-11-22"}
        data |= {"project_name": "Crop Yields", "author_name": "Ada", "author_email": "ada@example.org"}
        copier.run_copy(
            str(template),
            target,
            data=data | source_of(dataset),
            defaults=True,
            unsafe=True,
            quiet=True,
            skip_tasks=True,
        )
        rendered[dataset, stack, mongo] = target
    return rendered


@pytest.fixture(scope="module")
def distinct(variants, tmp_path_factory):
    """One folder that holds each distinct rendered file once, named after its content, for linting all in one go."""
    base = tmp_path_factory.mktemp("distinct")
    for project in variants.values():
        for name in files(project):
            content = (project / name).read_bytes()
            target = base / hashlib.sha256(name.encode() + content).hexdigest()[:10] / name
            if not target.exists():
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_bytes(content)
    return base


def test_exact_file_set(variants, template):
    room = {
        name for name in files(template / "template") if name.startswith(".dsproj/") and "{% if cluster" not in name
    }
    assert ".dsproj/__main__.py" in room and not [name for name in room if name.endswith(".jinja") or "{" in name]
    for (dataset, stack, mongo), project in variants.items():
        table = {"csv": "crops"}.get(dataset, dataset)
        expected = FILES | room
        expected |= {f"docker/postgres/datasets/{table}.env"} if dataset != "none" else set()
        expected |= OF_MONGO if mongo else set()
        expected |= {f"ipynb/20261122-{name}.ipynb" for name in of_stack(stack, mongo)}
        found = files(project)
        assert found == expected, (dataset, mongo, found ^ expected)


def test_what_belongs_to_a_cluster_is_there_with_the_question_alone(render):
    """The room's part of it too, rendered as it stands; and an update that switches it on brings it."""
    without, project = (render(str(cluster), cluster=cluster, project_name="Same") for cluster in (False, True))
    scale_out = {f"ipynb/{date.today():%Y%m%d}-9-Scale_Out.ipynb"}
    assert files(project) - files(without) == OF_CLUSTER | scale_out and files(without) <= files(project)
    for name in files(without) - WITH_CLUSTER:
        assert (without / name).read_bytes() == (project / name).read_bytes(), name
    commands = [checked("make", "help", cwd=each) for each in (without, project)]
    assert commands[1].splitlines()[-1].startswith("  make cluster-down ")
    assert "Other machines" not in commands[0] and "cluster" not in commands[0]


def test_the_machine_room_is_the_same_in_every_project(variants, template):
    for project in variants.values():
        for name in files(project):
            if name.startswith(".dsproj/"):
                assert (project / name).read_bytes() == (template / "template" / name).read_bytes(), name


def test_notebooks_sort_as_they_were_written(variants):
    for (_, stack, mongo), project in variants.items():
        names = [path.name for path in (project / "ipynb").glob("*.ipynb")]
        names.sort(key=lambda name: int(name.split("-")[1]))
        assert names == [
            f"20261122-{name}.ipynb" for name in (WITH_MONGO if mongo else NOTEBOOKS) + of_stack(stack, mongo)
        ]
        for name, following in itertools.pairwise(names):
            last = json.loads((project / "ipynb" / name).read_text())["cells"][-1]
            assert f"]({following})" in "".join(last["source"]), name


def test_the_journal_lists_what_is_there(render):
    """The page comes as `make notebook` writes it, keeps what the user wrote, and may be gone."""
    project = render()
    page, lists = project / "ipynb/README.md", [sys.executable, ".dsproj", "notebook"]
    text = page.read_text()
    checked(sys.executable, "-c", "from dsproj.journal import list_notebooks as f; f()", cwd=project,
            env=os.environ | {"PYTHONPATH": ".dsproj"})  # fmt: skip
    assert page.read_text() == text
    page.write_text(text + "Mine.\n")
    (project / "ipynb/scratch 1 [a].ipynb").write_text("{}")
    made = checked(*lists, "NAME=Zwölf Äpfel", cwd=project).strip()
    rows = [line for line in page.read_text().splitlines() if line.startswith("|")][2:]
    assert len(rows) == len(NOTEBOOKS) + 2 and page.read_text().endswith("Mine.\n")
    assert re.fullmatch(
        r"\| \d{4}-\d\d-\d\d \| 9 \| \[Zwölf Äpfel\]\(\d{8}-9-Zw%C3%B6lf_%C3%84pfel.ipynb\) \|", rows[-2]
    )
    assert "scratch%201%20%5Ba%5D.ipynb" in rows[-1]
    for damage in (lambda: page.write_text("No list"), page.unlink):
        damage()
        (project / made).unlink()
        checked(*lists, "NAME=Zwölf Äpfel", cwd=project)
    assert not page.exists()


def test_no_jinja_is_left(distinct):
    for path in distinct.rglob("*"):
        if path.is_file() and ".dsproj" not in path.parts:  # that is rendered as it is
            text = path.read_text(encoding="utf-8")
            assert not re.search(r"\{\{|\{%-?\s|\{#", text), path
            assert "_copier_conf" not in text


def test_text_files_are_tidy(distinct):
    for path in distinct.rglob("*"):
        if path.is_file():
            text = path.read_text(encoding="utf-8")
            assert text.endswith("\n") and not text.endswith("\n\n"), path
            assert "\r" not in text and "\t" not in text.replace("\n\t", "\n") or path.name == "Makefile", path
            assert not re.search(r"[ \t]+$", text, re.M), path


def test_yaml_and_json_parse(distinct):
    for path in distinct.rglob("*"):
        if path.suffix in (".yml", ".yaml"):
            yaml.safe_load(path.read_text())
        if path.suffix == ".json":
            json.loads(path.read_text())


def test_notebooks_are_valid_canonical_and_without_output(distinct):
    seen = 0
    for path in distinct.rglob("*.ipynb"):
        text = path.read_text(encoding="utf-8")
        notebook = json.loads(text)
        nbformat.validate(notebook)
        assert (notebook["nbformat"], notebook["nbformat_minor"]) == (4, 5)
        assert text == json.dumps(notebook, ensure_ascii=False, indent=1, sort_keys=True) + "\n", path
        ids = [cell["id"] for cell in notebook["cells"]]
        assert len(ids) == len(set(ids)), path
        for cell in notebook["cells"]:
            assert cell.get("outputs", []) == [] and cell.get("execution_count") is None, path
        seen += 1
    assert seen >= 4 * len(NOTEBOOKS) - 12


def test_all_notebooks_start_with_the_same_project_root_cell(distinct, render):
    cells = set()
    for path in distinct.rglob("*.ipynb"):
        code = [cell for cell in json.loads(path.read_text())["cells"] if cell["cell_type"] == "code"]
        if is_python(path):
            cells.add("".join(code[0]["source"]))
        else:
            assert code[0]["id"] == "project-root" and "setwd(" in code[0]["source"][1]
    assert len(cells) == 1
    project = render()
    make_notebook = [sys.executable, ".dsproj", "notebook", "NAME=Ein Größen-Versuch"]
    made = checked(*make_notebook, cwd=project).strip()
    assert re.fullmatch(r"ipynb/\d{8}-9-Ein_Größen-Versuch\.ipynb", made)  # the numbers up to 8 are of today
    new = json.loads((project / made).read_text())
    nbformat.validate(new)
    assert {"".join(cell["source"]) for cell in new["cells"] if cell["id"] == "cell-2"} == cells
    again = command(*make_notebook, cwd=project)
    assert again.returncode == 1 and "is there already" in again.printed and "Traceback" not in again.printed


def test_the_project_root_cell_finds_the_root_and_does_no_harm_twice(render, monkeypatch):
    project = render()
    cells = json.loads(next((project / "ipynb").glob("*.ipynb")).read_text())["cells"]
    (source,) = ["".join(cell["source"]) for cell in cells if cell["id"] == "project-root"]
    for start in ("ipynb", "."):
        for said in ({}, {"PROJECT_ROOT": str(project)}):
            environment = {name: value for name, value in os.environ.items() if name != "PROJECT_ROOT"} | said
            printed = checked(
                sys.executable, "-c", f"{source}\n{source}\nprint(os.getcwd())", cwd=project / start, env=environment
            )
            assert Path(printed.strip()) == project.resolve()


def is_python(path):
    return json.loads(path.read_text())["metadata"]["kernelspec"]["name"] == "python3"


def imported(tree):
    """What a module imports, wherever it does: (module, name), the name being "" for `import module`."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((alias.name, "") for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from (("." * node.level + (node.module or ""), alias.name) for alias in node.names)


def test_notebooks_import_documented_names_alone(distinct):
    seen = set()
    for path in filter(is_python, distinct.rglob("*.ipynb")):
        cells = json.loads(path.read_text())["cells"]
        sources = ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"]
        tree = ast.parse("\n".join(source for source in sources if not source.startswith("%%sql")))
        for module, name in imported(tree):
            if module == "lib":  # from lib import postgres: what is used of it counts
                used = (node for node in ast.walk(tree) if isinstance(node, ast.Attribute))
                used = {node.attr for node in used if isinstance(node.value, ast.Name) and node.value.id == name}
                assert used and used <= OF_LIB[f"lib.{name}"], (path, used)
            elif module in OF_LIB:
                assert name in OF_LIB[module], (path, module, name)
                seen.add(name)
            else:
                assert module.split(".")[0] in sys.stdlib_module_names | OF_OTHERS, (path, module)
    assert {"connect_to_postgres", "read_frame", "enqueue_ranges"} <= seen


def test_lib_imports_documented_names_alone(variants):
    for (_, _, mongo), project in variants.items():
        assert {f"lib.{path.stem}" for path in (project / "lib").glob("[a-z]*.py")} == OF_LIB.keys() - (
            set() if mongo else {"lib.mongo"}
        )
        for path in (project / "lib").glob("*.py"):
            tree = ast.parse(path.read_text())
            for module, name in imported(tree):
                if module.split(".")[0] in ("dsproj", "lib"):
                    assert name in (OF_ROOM | OF_LIB)[module], (path, module, name)
                else:
                    assert module.split(".")[0] in sys.stdlib_module_names | OF_OTHERS, (path, module)
            bound = {name for _, name in imported(tree)} | {
                target.id
                for node in ast.walk(tree)
                for target in getattr(node, "targets", [getattr(node, "target", None)])
                if isinstance(target, ast.Name)
            }
            bound |= {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}
            assert OF_LIB.get(f"lib.{path.stem}", set()) <= bound, path


def test_python_is_lint_clean_and_formatted(distinct, render):
    config = ["--config", render() / "pyproject.toml", "--no-cache"]
    assert checked("ruff", "check", *config, distinct)
    checked("ruff", "format", "--check", *config, distinct)


def test_the_machine_room_is_lint_clean_and_formatted(render):
    room = render() / ".dsproj"
    package = room / "dsproj"
    host = ["--target-version=py39", *package.glob("*.py"), package / "host"]  # __main__.py is for older ones still
    later = ["--target-version=py311", package / "database", package / "kernel", package / "local"]
    for target, *paths in (host, later):
        assert checked("ruff", "check", *ROOM_CHECKS, target, *paths)
        checked("ruff", "format", "--check", *ROOM_RULES, target, room / "__main__.py", *paths)


def test_shell_scripts_are_lint_clean(distinct):
    scripts = sorted(distinct.rglob("*.sh"))
    assert scripts
    checked("shellcheck", *scripts)


def test_yaml_is_lint_clean(distinct):
    rules = "{extends: default, rules: {line-length: {max: 130}, document-start: disable, comments: disable, braces: disable}}"
    checked("yamllint", "--strict", "-d", rules, *distinct.rglob("*.yml"), *distinct.rglob("*.yaml"))


def test_compose_accepts_every_variant(variants):
    if not shutil.which("docker") or command("docker", "compose", "version").returncode:
        pytest.skip("Docker Compose is not installed")
    for (_, stack, _), project in variants.items():
        if stack != "scipy":  # the image's name is all that differs
            continue
        make_env(project, "docker")
        checked("docker", "compose", "config", "--quiet", cwd=project)


@pytest.mark.parametrize("stack, tag", [("pytorch", "cuda12-2026-07-28"), ("tensorflow", "cuda-2026-07-28")])
def test_a_gpu_is_reserved_for_notebooks_and_jobs(render, stack, tag):
    plain, project = render("plain", jupyter_stack=stack), render(jupyter_stack=stack, gpu=True)
    assert "nvidia" not in (plain / "docker-compose.yml").read_text()
    assert f"FROM quay.io/jupyter/{stack}-notebook:{tag}\n" in (project / "docker/jupyter/Dockerfile").read_text()
    if not shutil.which("docker") or command("docker", "compose", "version").returncode:
        pytest.skip("Docker Compose is not installed")
    make_env(project, "docker")
    own = "from dsproj.host import services as s; s._write({'services': {'own': s.definition('own', 'lib.own.run')}})"
    checked(sys.executable, "-c", own, cwd=project, env=os.environ | {"PYTHONPATH": ".dsproj"})
    services = json.loads(checked("docker", "compose", "config", "--format", "json", cwd=project))["services"]
    reserved = {
        name: service.get("deploy", {}).get("resources", {}).get("reservations", {})
        for name, service in services.items()
    }
    gpu = [{"capabilities": ["gpu"], "driver": "nvidia", "count": -1}]
    assert {name: found["devices"] for name, found in reserved.items() if found} == dict.fromkeys(
        ["this_jupyter", "this_worker", "own"], gpu
    )


def test_compose_keeps_the_contract(variants):
    for (dataset, _, mongo), project in variants.items():
        compose = yaml.safe_load((project / "docker-compose.yml").read_text())
        services = compose["services"]
        expected = {"this_jupyter", "this_postgres", "this_redis", "this_worker", "this_monitor"}
        assert set(services) == expected | ({"this_mongo"} if mongo else set()), dataset
        for name, service in services.items():
            assert "container_name" not in service
            assert service["healthcheck"]["test"] and service["restart"] == "unless-stopped", name
            assert service["mem_limit"] == f"${{{memory_variable(name)}:-{places.MEMORY.get(name, '2g')}}}"
            assert all(port.startswith("127.0.0.1:${") for port in service.get("ports", [])), name
        published = {name for name, service in services.items() if "ports" in service}
        assert published == {"this_jupyter", "this_monitor"}


def test_the_dev_container_is_the_one_of_jupyterlab(variants):
    """Its schema was asked by hand; where the dev containers' own program is at hand (npm), that reads it too."""
    project = variants["adult", "scipy", False]
    asked = json.loads((project / ".devcontainer/devcontainer.json").read_text())
    compose = (project / ".devcontainer" / asked["dockerComposeFile"]).resolve()
    service = yaml.safe_load(compose.read_text())["services"][asked["service"]]
    assert f".:{asked['workspaceFolder']}" in service["volumes"]
    assert asked["userEnvProbe"] == "none"  # a login shell would lose the kernels' PATH
    if not shutil.which("devcontainer"):
        pytest.skip("@devcontainers/cli is not installed")
    read = checked("devcontainer", "read-configuration", "--workspace-folder", project)
    assert json.loads(read.splitlines()[-1])["configuration"]["service"] == "this_jupyter"


def test_images_and_packages_are_pinned(variants):
    for (_, stack, _), project in variants.items():
        dockerfile = (project / "docker/jupyter/Dockerfile").read_text()
        assert re.search(rf"^FROM quay\.io/jupyter/{stack}-notebook:\d{{4}}-\d\d-\d\d$", dockerfile, re.M)
        for name in ("docker/jupyter/requirements.txt", "local/requirements.txt"):
            for line in (project / name).read_text().splitlines():
                line = line.partition("#")[0].strip()
                if line and not line.startswith("-r"):
                    assert re.fullmatch(r"[A-Za-z0-9._\[\]-]+==[\w.]+(\s*;.*)?", line), (name, line)


def test_the_lock_is_that_of_the_requirements(variants):
    """After a change of a requirement: python -m hooks.locks, which writes it for all stacks."""
    for project in variants.values():
        requirements, (first, second) = (
            [(project / name).read_text() for name in names] for names in (locks.REQUIREMENTS, locks.LOCKS)
        )
        assert locks.STAMP + locks.stamp(requirements) + "\n" in first, f"{project.name}: python -m hooks.locks"
        found = [each for text in (first, second) for each in locks.entries(text)]
        assert all("--hash=sha256:" in each.text for each in found) and "://" not in first + second
        pinned = {(each.name, each.version) for each in found}
        asked = [line.partition(";")[0] for text in requirements for line in locks.asked(text) if "==" in line]
        assert {(locks.name_of(line), line.partition("==")[2].strip()) for line in asked} <= pinned
        assert not {each.name for each in locks.entries(first)} & {each.name for each in locks.entries(second)}


def test_nothing_outside_mongo_speaks_of_mongo(variants):
    for (_, _, mongo), project in variants.items():
        if not mongo:
            for name in ("docker-compose.yml", "docker/jupyter/requirements.txt", ".env.example", "README.md"):
                assert "mongo" not in (project / name).read_text().lower(), name


def test_env_example_explains_every_variable(variants):
    for mongo in (False, True):
        project = variants["adult", "r", mongo]
        make_env(project, "local")
        made = {line.partition("=")[0] for line in (project / ".env").read_text().splitlines() if "=" in line}
        example = (project / ".env.example").read_text()
        assert made == set(re.findall(r"^([A-Z_]+)=", example, re.M))


@pytest.mark.parametrize(
    "name", ["Ünïcödé 数据", 'it\'s "quoted" & <b> $HOME `id` \\n %s', "{{ 7 * 7 }}", "-dash: #x", "a: b"]
)
def test_hostile_names_stay_text(render, name):
    project = render(project_name=name, description=name, author_name=name)
    assert f"# {name}\n" in (project / "README.md").read_text()
    assert yaml.safe_load((project / ".copier-answers.yml").read_text())["project_name"] == name
    yaml.safe_load((project / "docker-compose.yml").read_text())


def test_source_with_quotes_and_spaces_survives_the_shell(render):
    source = 'https://example.org/it\'s a "file" $(touch owned) `id`.csv'
    project = render(dataset="csv", dataset_source=source)
    (settings,) = (project / "docker/postgres/datasets").glob("*.env")
    script = 'set -eu; . "$1"; printf %s "$SEED_SOURCES"'
    printed = checked("bash", "-c", script, "bash", settings, cwd=project)
    assert shlex.split(printed) == [source]
    assert not (project / "owned").exists()


@pytest.mark.parametrize(
    "source, file, part",
    [
        ("/a/it's 2026.xlsx#Sheet 2", "it_s_2026.xlsx", "Sheet 2"),
        ("crops.db#it's", "crops.db", "it's"),
        ("https://example.org/crops.xlsx#Sheet 2", "crops.xlsx", ""),
        ("/a/crops #1.csv", "crops_1.csv", ""),
        ("/a/sales-*.csv", "sales.zip", ""),
        ("/a/Felder März.csv", "Felder_Maerz.csv", ""),
        ("/a/ÄPFEL und Œuvre, Łódź.csv", "AePFEL_und_Oeuvre_Lodz.csv", ""),
        ("/a/Gro\u0308ße SIẞ.csv", "Groesse_SISS.csv", ""),
    ],
)
def test_the_file_of_ones_own_and_its_sheet_are_declared(render, source, file, part):
    (settings,) = (render(dataset="csv", dataset_source=source) / "docker/postgres/datasets").glob("*.env")
    values = dict(line.split("=", 1) for line in shlex.split(settings.read_text(), comments=True))
    assert (values["SEED_FILE"], values.get("SEED_PART", "")) == (file, part)
    if not part and "*" not in source:  # as `make dataset` would call it
        assert names.file_name(source, values["SEED_TABLE"]) == file


def test_executable_bits(render):
    project = render()
    scripts = list(project.rglob("*.sh"))
    assert project / "docker/postgres/get_data.sh" in scripts
    for path in scripts:
        assert path.stat().st_mode & stat.S_IXUSR, path


@pytest.mark.parametrize("target", ["up", "seed", "dataset", "backup", "destroy"])
def test_where_docker_is_gone_each_command_says_so(render, tmp_path, target):
    project, tools = render(), tmp_path / "bin"
    tools.mkdir()
    for name in ("make", "sh", "git"):
        (tools / name).symlink_to(shutil.which(name))
    (tools / "python3").symlink_to(Path(sys.executable).resolve())
    make_env(project, "docker")
    done = command("make", target, cwd=project, env={"PATH": str(tools), "HOME": str(tmp_path)})
    assert done.returncode and "Docker is not installed here" in done.printed, done.printed
    assert "Traceback" not in done.printed and "ENGINE=local" in done.printed


def test_the_suite_is_collected_on_a_machine_without_programs(tmp_path):
    """No docker, no git, nothing on the path: such tests are skipped when they run, and break nothing before."""
    collect = [sys.executable, "-m", "pytest", "--collect-only", "-q", "-p", "no:cacheprovider", "tests"]
    done = command(*collect, cwd=ROOT, env={"PATH": "", "HOME": str(tmp_path), "PYTHONDONTWRITEBYTECODE": "1"})
    assert done.returncode == 0, done.printed[-3000:]
    assert "error" not in done.printed.lower().splitlines()[-1], done.printed[-3000:]
