"""make upgrade-postgres: between two real major versions on Docker; on the local stack, where packages hold one, its steps."""

import os
import re

import pytest
from conftest import PREFIX, ROOT, checked, command
from releases import Template
from stacks import IDENTITY, DockerStack, LocalStack

# PostgreSQL 15, from Debian's packages, in the place of an older official image: same entry point, same folder layout.
OLDER = """
FROM postgres:18
RUN mkdir -p /etc/postgresql-common && echo create_main_cluster=false > /etc/postgresql-common/createcluster.conf \\
    && apt-get update -qq && apt-get install -y -qq --no-install-recommends postgresql-15 >/dev/null \\
    && rm -rf /var/lib/apt/lists/* \\
    && sed -i "s/^#listen_addresses = 'localhost'/listen_addresses = '*'/" /usr/share/postgresql/15/postgresql.conf.sample
ENV PATH=/usr/lib/postgresql/15/bin:$PATH PG_MAJOR=15 PGDATA=/var/lib/postgresql/15/docker
"""


@pytest.fixture(scope="module")
def older(engine):
    """The image postgres:15; one that is there already is used, and stays."""
    if command("docker", "image", "inspect", "postgres:15").returncode == 0:
        yield "15"
        return
    checked("docker", "build", "--quiet", "--tag", "postgres:15", "-", input=OLDER, stdin=None)
    yield "15"
    command("docker", "image", "rm", "--force", "postgres:15")


def generate(kind, folder, version):
    project = kind(folder / "project", f"{PREFIX}-upgrade-{kind.kind}")
    project.remove()
    template = Template(folder / "template")
    sample = ROOT / "hooks/samples/adult.data"
    project.generate(template.path, postgres_version=version, dataset_source=sample, stack="none")
    path = project.path / ".env"
    path.write_text(re.sub("^ENGINE=.*", f"ENGINE={kind.kind}", path.read_text(), flags=re.M))
    project.make("seed")  # starts the database alone, which is all that this is about
    project.sql("CREATE SCHEMA lab; CREATE TABLE lab.mine AS SELECT n FROM generate_series(1, 1234) n")
    project.sql("UPDATE adult SET age = age + 100 WHERE _id = 1")
    return project


def look(project):
    return project.sql(
        "SELECT (SELECT count(*) FROM lab.mine), (SELECT sum(age) FROM adult), (SELECT count(*) FROM adult)"
    )


def check_upgraded(project, before, changed):
    assert look(project) == before
    assert project.sql("SHOW server_version").startswith("18")
    assert "postgres_version: '18'" in (project.path / ".copier-answers.yml").read_text()
    assert set(project.git("diff", "--name-only").split()) == changed
    assert "loaded already" in project.make("seed") and look(project) == before
    done = command("make", "upgrade-postgres", "TO=18", cwd=project.path)
    assert done.returncode and "This project has PostgreSQL 18" in done.printed


@pytest.mark.engine
def test_from_one_major_version_to_the_next_with_all_data(older, tmp_path):
    project = DockerStack(tmp_path / "project", f"{PREFIX}-upgrade-docker")
    try:
        project = generate(DockerStack, tmp_path, older)
        assert project.sql("SHOW server_version").startswith("15")
        before = look(project)

        # To a version that there is not: back to where it was.
        done = command("make", "upgrade-postgres", "TO=99", cwd=project.path)
        assert done.returncode and "PostgreSQL stays at 15, with its data as it was" in done.printed, done.printed
        assert "Traceback" not in done.printed and project.git("status", "--porcelain") == ""
        assert project.sql("SHOW server_version").startswith("15") and look(project) == before

        printed = project.make("upgrade-postgres", "TO=18")
        assert "compared one by one" in printed and "rm -r /var/lib/postgresql/kept/15" in printed
        check_upgraded(
            project, before, {".copier-answers.yml", "README.md", "docker-compose.yml", "docker/postgres/Dockerfile"}
        )
        kept = project.compose("exec", "-T", "this_postgres", "cat", "/var/lib/postgresql/kept/15/docker/PG_VERSION")
        assert kept.strip() == "15"
    finally:
        project.remove()


def test_the_local_stacks_steps(tmp_path):
    """The package index has one major version: a project that is said to have 17 goes through every step to 18."""
    project = LocalStack(tmp_path / "project", f"{PREFIX}-upgrade-local")
    try:
        project = generate(LocalStack, tmp_path, "17")
        before = look(project)
        # With edits that are not committed: what is advised, done word for word, ends in the upgrade.
        with (project.path / "README.md").open("a") as file:
            file.write("\nMine.\n")
        done = command("make", "upgrade-postgres", "TO=18", cwd=project.path)
        advised = re.search(r"^Commit them: (.+), or .* Then: (.+)$", done.printed, re.M)
        assert done.returncode and advised, done.printed
        checked("sh", "-c", advised[1], cwd=project.path, env=os.environ | IDENTITY)
        printed = checked("sh", "-c", advised[2], cwd=project.path)
        assert "compared one by one" in printed and "rm -r .local/postgres-17" in printed
        assert (project.path / ".local/postgres-17/PG_VERSION").exists()
        check_upgraded(project, before, {".copier-answers.yml", "README.md", "docker/postgres/Dockerfile"})
    finally:
        project.remove()
