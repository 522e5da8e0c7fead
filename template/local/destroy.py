"""Remove the stack with its data: containers and volumes, or the data folders in .local/. What is in git stays.

python3 local/destroy.py [--force] [--engine docker|local]
"""

import argparse
import shutil
import subprocess
import sys

from env import PROJECT
from inside import InsideError, Stack, confirm

DATA = ("postgres", "redis", "mongo", "jupyter", "logs", "run", "home", "postgres.new")


def size(path):
    return sum(file.stat().st_size for file in path.rglob("*") if file.is_file() and not file.is_symlink())


def compose(*words):
    done = subprocess.run(["docker", "compose", *words], cwd=PROJECT, capture_output=True, text=True)
    if done.returncode:
        raise InsideError("\n".join(done.stderr.strip().splitlines()[-3:]))
    return done.stdout.split()


def docker_volumes(stack):
    listed = subprocess.run(
        ["docker", "volume", "ls", "--quiet", "--filter", f"label=com.docker.compose.project={stack.name}"],
        capture_output=True,
        text=True,
    )
    return sorted(listed.stdout.split())


def local_folders():
    state = PROJECT / ".local"
    # An earlier major version's data too, which an upgrade keeps.
    found = [state / name for name in DATA] + sorted(state.glob("postgres-*"))
    return [folder for folder in found if folder.is_dir()]


def destroy(stack, force):
    if stack.is_local:
        folders = local_folders()
        lost = [f"  .local/{folder.name}, {size(folder) / 1e6:,.1f} MB" for folder in folders]
    else:
        lost = [f"  container {name}" for name in compose("ps", "--all", "--services")]
        lost += [f"  volume {name}" for name in docker_volumes(stack)]
    if not lost:
        print("There is nothing to remove.")
        return
    what = ["This removes, with everything that PostgreSQL, Redis and the other stores hold:", *lost]
    what += ["Files of the project stay: notebooks, lib/, data/, backups/, .env. To keep the stores' data: make backup"]
    confirm("\n".join(what), stack.name, force)
    if stack.is_local:
        subprocess.run([sys.executable, "local/stack.py", "down"], cwd=PROJECT, check=True)
        for folder in folders:
            shutil.rmtree(folder, ignore_errors=True)
        if left := [folder.name for folder in folders if folder.exists()]:
            raise InsideError(f"Could not be removed: {', '.join(left)} in .local/")
    else:
        compose("down", "--volumes", "--remove-orphans")
    print("Removed. To start afresh, with the data set loaded anew: make up")


def main():
    parser = argparse.ArgumentParser(description="Remove the stack with its data.")
    parser.add_argument("--engine", choices=("docker", "local"), help="default: ENGINE in .env")
    parser.add_argument("--force", action="store_true", help="do not ask")
    arguments = parser.parse_args()
    try:
        destroy(Stack(arguments.engine), arguments.force)
    except (InsideError, subprocess.CalledProcessError) as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
