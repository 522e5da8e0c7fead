"""What speaks to a registry of images: Debian's docker-registry, on loopback. Where it is not installed, this is skipped."""

import json
import re
import shutil
import subprocess
import sys
import urllib.request

import pytest
from conftest import checked, command, free_port, wait_for

pytestmark = pytest.mark.engine

CONFIG = {"version": "0.1", "log": {"level": "error"}, "storage": {"delete": {"enabled": True}}}


@pytest.fixture(scope="module")
def registry(engine, tmp_path_factory):
    """The address of a registry of our own, with one small image in it: NAME:PORT/small:1."""
    if not shutil.which("docker-registry"):
        pytest.skip("docker-registry is not installed")
    folder, address = tmp_path_factory.mktemp("registry"), f"127.0.0.1:{free_port(22000)}"
    storage = CONFIG["storage"] | {"filesystem": {"rootdirectory": str(folder / "data")}}
    (folder / "config.yml").write_text(json.dumps(CONFIG | {"storage": storage, "http": {"addr": address}}))
    process = subprocess.Popen(["docker-registry", "serve", folder / "config.yml"], stderr=subprocess.DEVNULL)
    image = f"{address}/small:1"
    try:
        wait_for(lambda: answers(address), 30, "the registry")
        (folder / "Dockerfile").write_text("FROM scratch\nCOPY Dockerfile /\n")
        checked("docker", "build", "--quiet", "--tag", image, folder)
        checked("docker", "push", "--quiet", image)
        yield address
    finally:
        command("docker", "image", "rm", image)
        process.terminate()
        process.wait()


def answers(address):
    try:
        return urllib.request.urlopen(f"http://{address}/v2/", timeout=5).status == 200
    except OSError:
        return False


@pytest.mark.index
def test_make_lock_writes_the_digests_that_a_registry_has(registry, render):
    project = render()
    compose, dockerfile = project / "docker-compose.yml", project / "docker/jupyter/Dockerfile"
    before = compose.read_text(), dockerfile.read_text()
    compose.write_text(before[0].replace("image: redis:8\n", f"image: {registry}/small:1\n"))
    dockerfile.write_text(re.sub("FROM .*", f"FROM {registry}/other:2  # mine", before[1]))
    lock = [sys.executable, ".dsproj", "lock"]
    done = command(*lock, cwd=project)
    digest = checked(
        "docker", "image", "inspect", "--format", "{{index .RepoDigests 0}}", f"{registry}/small:1"
    ).strip()
    image = f"{registry}/small:1@{digest.partition('@')[2]}"
    assert done.returncode == 0 and f"{registry}/small:1 sha256:" in done.stdout, done.printed
    assert f"    image: {image}\n" in compose.read_text()
    assert f"FROM {registry}/other:2  # mine\n" in dockerfile.read_text()
    assert f"no digest from {registry}/other:2 (not found): as it was" in done.stdout
    again = compose.read_text(), dockerfile.read_text()
    checked(*lock, cwd=project)
    assert (compose.read_text(), dockerfile.read_text()) == again
    checked("docker", "pull", "--quiet", image)
