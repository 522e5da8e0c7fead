"""Step: the data file comes to data/."""

import os
import shlex
import shutil
from pathlib import Path

from hooks import console
from hooks.outcome import Outcome

SAMPLES = Path(__file__).parent / "samples"


def bring(project):
    """Fetch the chosen file by the project's own fetch_data.py; for a named set, fall back to the synthetic sample."""
    fetcher = project.module("docker/postgres/fetch_data.py")
    chosen = fetcher.settings()
    if not chosen["SEED_FILE"]:
        return Outcome("none chosen")
    target = project.path / "data" / chosen["SEED_FILE"]
    sources = [absolute(source) for source in shlex.split(chosen["SEED_SOURCES"])]
    try:
        with console.transfer(target.name) as progress:
            source = fetcher.fetch(sources, target, chosen["SEED_SHA256"], progress)
    except fetcher.FetchError as error:
        return fall_back(target, chosen, str(error).replace("\n", "; "))
    if not chosen["SEED_SHA256"]:
        fetcher.note_checksum(project.path / "docker/postgres/dataset.env", fetcher.sha256(target))
    size = f"data/{target.name}, {target.stat().st_size / 1e6:,.1f} MB"
    return Outcome(f"{size}, from {source}" if source else f"{size}, was there already")


def absolute(source):
    """A relative path is meant from where the user typed it; the steps run in the project."""
    if "://" in source or source.startswith(("~", "/")):
        return source
    return os.path.normpath(Path(os.environ.get("PWD", "."), source))


def fall_back(target, chosen, why):
    if not chosen["SEED_SAMPLE"]:
        return Outcome("MISSING", why, f"copy the file to data/{target.name}, then: make dataset")
    sample = target.with_name(chosen["SEED_SAMPLE"])
    if not sample.exists():
        shutil.copyfile(SAMPLES / target.name, sample)
    return Outcome(
        f"SYNTHETIC SAMPLE, data/{sample.name}: NOT THE REAL DATA",
        why,
        "make dataset",
        facts={"synthetic": f"data/{target.name}"},  # where the real file belongs
    )
