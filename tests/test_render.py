"""What is rendered: for every answer the right files, valid and lint-clean, with no Jinja left over."""

import hashlib
import itertools
import json
import re
import shlex
import shutil
import stat
import sys
from pathlib import Path

import copier
import nbformat
import pytest
import yaml
from conftest import ROOT, checked, command

DATASETS = ["adult", "breast_cancer", "csv", "none"]
STACKS = ["minimal", "scipy", "datascience", "r", "tensorflow", "pytorch", "pyspark"]

NOTEBOOKS = [
    "Develop_encoding_target_function",
    "Encode_target",
    "Examine_Database_Requirements",
    "Initial_Database_Connection",
    "Verify_Database_Connection",
]

FILES = {
    ".copier-answers.yml", ".dockerignore", ".env.example", ".gitattributes", ".gitignore",
    ".pre-commit-config.yaml", "Makefile", "README.md", "docker-compose.yml", "ruff.toml",
    "config/jupyter.env.example", "data/README.md",
    "docker/jupyter/Dockerfile", "docker/jupyter/healthcheck.py", "docker/jupyter/jupyter_server_config.json",
    "docker/jupyter/overrides.json", "docker/jupyter/requirements.txt", "docker/jupyter/worker.py",
    "docker/postgres/Dockerfile", "docker/postgres/column_names.py", "docker/postgres/column_types.py",
    "docker/postgres/csv_dialect.py", "docker/postgres/data_files.py", "docker/postgres/dataset.env",
    "docker/postgres/dataset.py", "docker/postgres/datasets/README.md", "docker/postgres/engines.py",
    "docker/postgres/entrypoint.sh", "docker/postgres/fetch_data.py", "docker/postgres/infer_schema.py",
    "docker/postgres/normalise.py",
    "docker/postgres/get_data.sh", "docker/postgres/init.sh", "docker/postgres/initdb.sql",
    "docker/postgres/seed.sh", "docker/postgres/seed.sql",
    "lib/__init__.py", "lib/cache.py", "lib/frames.py", "lib/jobs.py", "lib/postgres.py",
    "local/backup.py", "local/commands.py", "local/destroy.py", "local/env.py", "local/environment.py", "local/gitconfig",
    "local/health.py", "local/inside.py",
    "local/new_notebook.py", "local/notebook_cells.py", "local/paths.py", "local/postgres.py", "local/processes.py",
    "local/requirements.txt", "local/service.py", "local/settings.py", "local/stack.py",
    "local/stores.py",
    "local/supervision.py", "local/supervisord.conf", "local/update.py", "local/upgrade_postgres.py", "local/url.py",
    "tests/conftest.py", "tests/test_cache.py", "tests/test_jobs.py", "tests/test_postgres.py",
    *(f"ipynb/20261122-{name}.ipynb" for name in NOTEBOOKS),
}  # fmt: skip


def source_of(dataset):
    return {"dataset_source": "/somewhere/crops.csv"} if dataset == "csv" else {}


def files(project):
    return {str(path.relative_to(project)) for path in project.rglob("*") if path.is_file()}


@pytest.fixture(scope="module")
def variants(template, tmp_path_factory):
    """Every combination of the answers that change files: {(dataset, stack, mongo): folder}."""
    base = tmp_path_factory.mktemp("variants")
    rendered = {}
    for dataset, stack, mongo in itertools.product(DATASETS, STACKS, [False, True]):
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


def test_exact_file_set(variants):
    for (dataset, _, mongo), project in variants.items():
        expected = set(FILES)
        expected |= {"lib/mongo.py", "local/mongo.py", "tests/test_mongo.py"} if mongo else set()
        found = files(project)
        assert found == expected, (dataset, mongo, found ^ expected)


def test_no_jinja_is_left(distinct):
    for path in distinct.rglob("*"):
        if path.is_file() and path.name != "env.py":  # docker's own --format '{{…}}' stands there
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
        cells.add("".join(code[0]["source"]))
    assert len(cells) == 1
    project = render()
    made = checked("python3", "local/new_notebook.py", "Ein Größen-Versuch", cwd=project).strip()
    new = json.loads((project / made).read_text())
    nbformat.validate(new)
    assert {"".join(cell["source"]) for cell in new["cells"] if cell["id"] == "cell-2"} == cells
    again = command("python3", "local/new_notebook.py", "Ein Größen-Versuch", cwd=project)
    assert again.returncode == 1 and "is there already" in again.printed and "Traceback" not in again.printed


def test_python_is_lint_clean_and_formatted(distinct):
    config = ["--config", ROOT / "template" / "ruff.toml", "--no-cache"]
    assert checked("ruff", "check", *config, distinct)
    checked("ruff", "format", "--check", *config, distinct)


def test_shell_scripts_are_lint_clean(distinct):
    scripts = sorted(distinct.rglob("*.sh"))
    assert scripts
    checked("shellcheck", *scripts)


def test_yaml_is_lint_clean(distinct):
    rules = "{extends: default, rules: {line-length: {max: 130}, document-start: disable, comments: disable, braces: disable}}"
    checked("yamllint", "--strict", "-d", rules, *distinct.rglob("*.yml"), *distinct.rglob("*.yaml"))


def test_compose_accepts_every_variant(variants):
    if command("docker", "compose", "version").returncode:
        pytest.skip("Docker Compose is not installed")
    for (_, stack, _), project in variants.items():
        if stack != "scipy":  # the image's name is all that differs
            continue
        checked("python3", "local/env.py", "--engine", "docker", cwd=project)
        checked("docker", "compose", "config", "--quiet", cwd=project)


def test_compose_keeps_the_contract(variants):
    for (dataset, _, mongo), project in variants.items():
        compose = yaml.safe_load((project / "docker-compose.yml").read_text())
        services = compose["services"]
        expected = {"this_jupyter", "this_postgres", "this_redis", "this_worker", "this_monitor"}
        assert set(services) == expected | ({"this_mongo"} if mongo else set()), dataset
        for name, service in services.items():
            assert "container_name" not in service
            assert service["healthcheck"]["test"] and service["restart"] == "unless-stopped", name
            assert service["mem_limit"].startswith("${"), name
            assert all(port.startswith("127.0.0.1:${") for port in service.get("ports", [])), name
        published = {name for name, service in services.items() if "ports" in service}
        assert published == {"this_jupyter", "this_monitor"}


def test_images_and_packages_are_pinned(variants):
    for (_, stack, _), project in variants.items():
        dockerfile = (project / "docker/jupyter/Dockerfile").read_text()
        assert re.search(rf"^FROM quay\.io/jupyter/{stack}-notebook:\d{{4}}-\d\d-\d\d$", dockerfile, re.M)
        for name in ("docker/jupyter/requirements.txt", "local/requirements.txt"):
            for line in (project / name).read_text().splitlines():
                line = line.partition("#")[0].strip()
                if line and not line.startswith("-r"):
                    assert re.fullmatch(r"[A-Za-z0-9._\[\]-]+==[\w.]+(\s*;.*)?", line), (name, line)


def test_nothing_outside_mongo_speaks_of_mongo(variants):
    for (_, _, mongo), project in variants.items():
        if not mongo:
            for name in ("docker-compose.yml", "docker/jupyter/requirements.txt", ".env.example", "README.md"):
                assert "mongo" not in (project / name).read_text().lower(), name


def test_env_example_explains_every_variable(variants):
    for mongo in (False, True):
        project = variants["none", "r", mongo]
        checked("python3", "local/env.py", "--engine", "local", cwd=project)
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
    source = '/tmp/it\'s a "file" $(touch owned) `id`.csv'
    project = render(dataset="csv", dataset_source=source)
    script = 'set -eu; . ./docker/postgres/dataset.env; printf %s "$SEED_SOURCES"'
    printed = checked("bash", "-c", script, cwd=project)
    assert shlex.split(printed) == [source]
    assert not (project / "owned").exists()


def test_executable_bits(render):
    project = render()
    for name in ("seed.sh", "get_data.sh", "init.sh"):
        assert (project / "docker/postgres" / name).stat().st_mode & stat.S_IXUSR, name


@pytest.mark.parametrize("target", ["up", "seed", "dataset", "backup", "destroy"])
def test_where_docker_is_gone_each_command_says_so(render, tmp_path, target):
    project, tools = render(), tmp_path / "bin"
    tools.mkdir()
    for name in ("make", "sh", "sed", "touch", "git"):
        (tools / name).symlink_to(shutil.which(name))
    (tools / "python3").symlink_to(Path(sys.executable).resolve())
    checked(sys.executable, "local/env.py", "--engine", "docker", cwd=project)
    done = command("make", target, cwd=project, env={"PATH": str(tools), "HOME": str(tmp_path)})
    assert done.returncode and "Docker is not installed here" in done.printed, done.printed
    assert "Traceback" not in done.printed and "ENGINE=local" in done.printed
