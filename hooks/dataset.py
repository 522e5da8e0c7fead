"""Step: the data file comes to data/."""

import os
import shutil
from pathlib import Path

from hooks import console
from hooks.outcome import Outcome

SAMPLES = Path(__file__).parent / "samples"


def bring(project):
    """Fetch the chosen file as the project itself does; for a named set, fall back to the synthetic sample."""
    sets, download = project.module("sets"), project.module("host.download")
    chosen = next(iter(sets.data_sets()), None)
    if not chosen:
        return Outcome("none chosen")
    sources = [absolute(project.source)] if project.source else chosen.sources
    try:
        with console.transfer(chosen.file) as progress:
            source = download.fetch(sources, chosen.path, chosen.checksum, progress)
    except project.module("errors").Problem as problem:
        return fall_back(chosen, problem.what.replace("\n", "; "))
    if not chosen.checksum:
        sets.note_checksum(chosen.env, project.module("files").sha256(chosen.path))
    size = f"data/{chosen.file}, {chosen.path.stat().st_size / 1e6:,.1f} MB"
    return Outcome(f"{size}, from {source}" if source else f"{size}, was there already")


def absolute(source):
    """A relative path is meant from where the user typed it; the steps run in the project."""
    if "://" in source or source.startswith(("~", "/")):
        return source
    return os.path.normpath(Path(os.environ.get("PWD", "."), source))


def fall_back(chosen, why):
    if not chosen.sample:
        return Outcome("MISSING", why, chosen.copying)
    sample = chosen.path.with_name(chosen.sample)
    if not sample.exists():
        shutil.copyfile(SAMPLES / chosen.file, sample)
    return Outcome(
        f"SYNTHETIC SAMPLE, data/{sample.name}: NOT THE REAL DATA",
        why,
        "make dataset",
        facts={"synthetic": f"data/{chosen.file}"},  # where the real file belongs
    )
