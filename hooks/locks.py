"""`python -m hooks.locks`: write the template's lock, of all stacks with and without MongoDB and Dask. After every change of a requirement.

A project then begins with versions that were tested together, and generation asks no package index for them. Needs uv and
a package index. `--upgrade` takes the newest versions that the requirements allow.
"""

import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import copier

ROOT = Path(__file__).resolve().parent.parent
TEMPLATE = ROOT / "template"
sys.path.insert(0, str(TEMPLATE / ".dsproj"))

from dsproj import locks  # noqa: E402

Variant = tuple[str, bool, bool]  # Jupyter's stack; has it MongoDB, has it Dask?
# What the requirements differ by, the largest first: the others keep its versions. `datascience` has those of `scipy`, `r` of `minimal`.
STACKS = {"scipy": ["scipy", "datascience"], "minimal": ["minimal", "r"]} | {
    name: [name] for name in ("tensorflow", "pytorch", "pyspark")
}
BOTH = (True, False)
VARIANTS = {
    (stack, mongo, cluster): f"{stack}{'-mongo' * mongo}{'-cluster' * cluster}"
    for stack in STACKS
    for mongo in BOTH
    for cluster in BOTH
}
RENDER = {"defaults": True, "unsafe": True, "quiet": True, "skip_tasks": True, "vcs_ref": "HEAD"}
HEAD = "{{%- set variant = {}[jupyter_stack] ~ ('-mongo' if mongo else '') ~ ('-cluster' if cluster else '') -%}}\n"


def lock(variant: Variant, known: list[str], upgrade: bool, folder: Path) -> list[str]:
    """The texts of a project's lock; `known` is the one whose versions are kept."""
    project = folder / VARIANTS[variant]
    copier.run_copy(str(ROOT), project, data=answers(variant), **RENDER)
    for name, text in zip(locks.LOCKS, known, strict=True):
        (project / name).write_text(text, encoding="utf-8")
    words = [sys.executable, str(project / ".dsproj"), "lock", *(["UPGRADE=1"] if upgrade else [])]
    # Of the public index alone: another one may have other files, and their checksums would be nobody else's.
    variables = {name: text for name, text in os.environ.items() if not name.startswith("PIP_")}
    subprocess.run(words, check=True, env=variables | {"PIP_CONFIG_FILE": os.devnull})
    return [(project / name).read_text(encoding="utf-8") for name in locks.LOCKS]


def merged(texts: dict[str, str]) -> str:
    """One template of the texts of all variants: {variant: text} -> Jinja."""
    where: dict[str, list[str]] = {}
    names: dict[str, str] = {}
    for variant, text in texts.items():
        for each in locks.entries(text):
            where.setdefault(each.text, []).append(variant)
            names[each.text] = each.name
    heads = {variant: text[: text.index(locks.entries(text)[0].text)] for variant, text in texts.items()}
    stacks = {name: stack for stack, listed in STACKS.items() for name in listed}
    parts = [HEAD.format(stacks)]
    for head in dict.fromkeys(heads.values()):
        parts.append(conditional(head, [variant for variant in heads if heads[variant] == head], texts))
    parts += [
        conditional(f"{text}\n", where[text], texts) for text in sorted(where, key=lambda text: (names[text], text))
    ]
    return "".join(parts)


def conditional(text: str, variants: list[str], texts: dict[str, str]) -> str:
    return text if len(variants) == len(texts) else f"{{% if variant in {variants} -%}}\n{text}{{% endif -%}}\n"


def main(words: list[str]) -> None:
    found: dict[str, list[str]] = {}
    known = ["", ""]
    with tempfile.TemporaryDirectory() as folder:
        for number, (variant, name) in enumerate(VARIANTS.items()):
            if not number and "--upgrade" not in words and (TEMPLATE / f"{locks.LOCKS[0]}.jinja").exists():
                known = read_template(variant, Path(folder) / "known")
            found[name] = lock(variant, known, "--upgrade" in words and not number, Path(folder))
            known = found[name] if not number else known_with(known, found[name])
            print(name, len(locks.entries("".join(found[name]))), "entries", flush=True)
    for number, name in enumerate(locks.LOCKS):
        path = TEMPLATE / f"{name}.jinja"
        path.write_text(merged({variant: texts[number] for variant, texts in found.items()}), encoding="utf-8")


def answers(variant: Variant) -> dict[str, Any]:
    return dict(zip(("jupyter_stack", "mongo", "cluster"), variant, strict=True))


def read_template(variant: Variant, folder: Path) -> list[str]:
    copier.run_copy(str(ROOT), folder, data=answers(variant), **RENDER)
    return [(folder / name).read_text(encoding="utf-8") for name in locks.LOCKS]


def known_with(known: list[str], more: list[str]) -> list[str]:
    """A lock, and what another one has beside: uv prefers the first version that it finds of a package."""
    there = {each.name for text in known for each in locks.entries(text)}
    beside = [each.text for text in more for each in locks.entries(text) if each.name not in there]
    return [known[0], "\n".join([known[1].rstrip("\n"), *beside, ""])]


if __name__ == "__main__":
    main(sys.argv[1:])
