"""The images that the project takes from registries, by tag and, once a registry was asked, by digest as well."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from dsproj.files import replace_text
from dsproj.host import docker_program as program
from dsproj.report import Report
from dsproj.settings import PROJECT

FILES = ("docker/jupyter/Dockerfile", "docker/postgres/Dockerfile", "docker-compose.yml")
LINE = re.compile(r"(?m)^(FROM +|[ \t]+image: +)([\w./:-]+:[\w.-]+)(@sha256:[0-9a-f]{64})?(?=\s|$)")


def digests(text: str) -> dict[str, str]:
    """{image:tag: "@sha256:…", or "" for none} of what a file's text names."""
    return {name: digest for _, name, digest in LINE.findall(text)}


def pinned(text: str, known: Mapping[str, str]) -> str:
    """The text with these digests, and without where one is ""; others stay."""
    return LINE.sub(lambda found: found[1] + found[2] + known.get(found[2], found[3] or ""), text)


def asked(names: Iterable[str], report: Report) -> tuple[dict[str, str], dict[str, str]]:
    """({image:tag: "@sha256:…"}, {a registry, or an image that it does not have: what came instead of an answer})."""
    found, silent = {}, {}
    for name in names:
        registry = name.partition("/")[0] if re.match(r"[^/]*[.:][^/]*/", name) else "docker.io"
        if registry not in silent:
            report.doing(f"asking {registry} for {name}")
            digest, why = program.digest(name)
            if digest:
                found[name] = f"@{digest}"
            else:
                silent[name if "not found" in why else registry] = why
    return found, silent


def lock(report: Report) -> None:
    """Ask the registries for the digests, and write them into the files. What is not answered stays as it is, and is said."""
    texts = {name: (PROJECT / name).read_text(encoding="utf-8") for name in FILES}
    before = {name: digest for text in texts.values() for name, digest in digests(text).items()}
    if problem := program.trouble():
        report.done("images", f"their digests were not asked for: {problem.what}")
        return
    found, silent = asked(before, report)
    for path, text in texts.items():
        if (new := pinned(text, found)) != text:
            replace_text(PROJECT / path, new, mode=(PROJECT / path).stat().st_mode & 0o777)
    if changed := [f"{name} {digest[1:20]}…" for name, digest in found.items() if before[name] != digest]:
        report.done("images", f"{', '.join(changed)}; to run them: make up")
    elif found:
        report.done("images", "no digest is another")
    for which, why in silent.items():
        report.done("images", f"no digest from {which} ({why}): as it was")
