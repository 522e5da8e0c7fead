"""The documentation site: `nox -s docs` builds it into build/docs/site, strictly, and follows each of its links.

The pages are those of this folder. Where one says `<!-- generated: NAME -->`, what the template itself says comes in its
place: a table of the questions, of make's targets, of the variables. No page says such a thing a second time.
"""

import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import copier
import yaml

ROOT = Path(__file__).resolve().parent.parent
DOCS = ROOT / "docs"
BUILD = ROOT / "build" / "docs"
REPOSITORY = "https://github.com/org/dsproj/blob/main"
GENERATED = re.compile(r"^<!-- generated: (\w+) -->$", re.M)
SHOWN = (".md", ".png", ".svg")


def pages() -> list[str]:
    """The names of all pages, from docs/ on."""
    return sorted(path.relative_to(DOCS).as_posix() for path in DOCS.rglob("*.md"))


def table(rows: list[list[str]]) -> str:
    """A Markdown table; its first row is the header."""
    lines = ["| " + " | ".join(cell.replace("|", r"\|") for cell in row) + " |" for row in rows]
    return "\n".join([lines[0], "|---" * len(rows[0]) + "|", *lines[1:]])


def questions() -> str:
    """The questions of copier.yml: what is asked always, what among the details, what never."""
    known = yaml.safe_load((ROOT / "copier.yml").read_text(encoding="utf-8"))
    parts: dict[str, list[list[str]]] = {"Always asked": [], "Asked where `details` is yes": [], "Never asked": []}
    for name, question in known.items():
        if name.startswith("_"):
            continue
        ask = str(question.get("ask", True))
        part = (
            "Never asked" if ask == "False" else "Asked where `details` is yes" if "details" in ask else "Always asked"
        )
        default = str(question.get("default", ""))
        default = "from the others" if "{" in default else f"`{default}`" if default else ""
        choices = question.get("choices", {})
        help_text = question["help"] + "".join(
            f"<br>`{value}`: {text.removeprefix(value + ': ')}" for text, value in choices.items()
        )
        parts[part].append([f"`{name}`", question["type"], default, help_text])
    header = ["question", "type", "default", "what it means"]
    return "\n\n".join(f"## {part}\n\n{table([header, *rows])}" for part, rows in parts.items())


def targets(project: Path) -> str:
    """What `make help` prints, as tables: a line that names no target is the heading of those below it."""
    help_text = subprocess.run(
        [sys.executable, ".dsproj", "help"], cwd=project, check=True, capture_output=True, text=True
    ).stdout
    written, rows = [], []

    def close() -> None:
        if rows:
            written.append(table([["type", "to"], *rows]))
            rows.clear()

    for line in help_text.splitlines():
        if found := re.match(r"\s*make ([\w-]+)\s+(.*)", line):
            rows.append([f"`make {found[1]}`", re.sub(r"([\[\]])", r"\\\1", found[2].replace("<", "&lt;"))])
        elif line.strip():
            close()
            written.append(f"## {line.strip().rstrip(':')}")
    close()
    return "\n\n".join(written)


def variables(path: Path) -> str:
    """The variables of a .env.example: the comment above a group of them says what they are."""
    rows, said, new = [["variable", "what it is"]], "", True
    for line in path.read_text(encoding="utf-8").splitlines():
        if found := re.match(r"(?:# )?([A-Z][A-Z_]+)=(.*)", line):
            given = f" (default: `{found[2]}`)" if found[2] else ""
            rows.append([f"`{found[1]}`", said + given])
            new = True
        elif line.strip("# "):
            said = line.strip("# ") if new else f"{said} {line.strip('# ')}"
            new = False
        else:
            new = True
    return table(rows)


def render() -> Path:
    """A project with everything, whose modules have the docstrings and whose `make help` the targets."""
    project, source = BUILD / "project", BUILD / "source"  # without git: what is not committed yet is meant, too
    for part in ("template", "hooks"):
        shutil.copytree(ROOT / part, source / part, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "copier.yml", source)
    everything = {"mongo": True, "cluster": True}
    copier.run_copy(str(source), project, data=everything, defaults=True, unsafe=True, quiet=True, skip_tasks=True)
    return project


def generated(name: str, project: Path) -> str:
    """What stands in place of a `<!-- generated: NAME -->`."""
    return {
        "questions": questions,
        "targets": lambda: targets(project),
        "env": lambda: variables(project / ".env.example"),
        "jupyter_env": lambda: variables(project / "config/jupyter.env.example"),
    }[name]()


def leaving(text: str, page: str) -> str:
    """Links to what is in the repository and not on the site lead to the repository's own page."""

    def target(found: re.Match[str]) -> str:
        path = (DOCS / page).parent / found[1]
        if urlsplit(found[1]).scheme or not found[1] or path.resolve().is_relative_to(DOCS) and path.suffix in SHOWN:
            return found[0]
        if not path.exists():
            sys.exit(f"docs/{page}: {found[1]} leads nowhere")
        return f"]({REPOSITORY}/{path.resolve().relative_to(ROOT).as_posix()}"

    return re.sub(r"\]\(([^)#\s]+)", target, text)


def stage(project: Path) -> None:
    """All pages and pictures, with what is generated, to build/docs/pages; the settings with all pages beside them."""
    for path in DOCS.rglob("*"):
        copy = BUILD / "pages" / path.relative_to(DOCS)
        if path.suffix not in SHOWN:
            continue
        copy.parent.mkdir(parents=True, exist_ok=True)
        if path.suffix == ".md":
            text = path.read_text(encoding="utf-8")
            text = GENERATED.sub(lambda found: generated(found[1], project), text)
            copy.write_text(leaving(text, path.relative_to(DOCS).as_posix()), encoding="utf-8")
        else:
            shutil.copy(path, copy)
    (BUILD / "zensical.toml").write_text(settings(), encoding="utf-8")


def settings() -> str:
    """zensical.toml, where `"folder/*"` stands for the pages of that folder that no line names."""
    text = (DOCS / "zensical.toml").read_text(encoding="utf-8")
    named = set(re.findall(r'"([\w/-]+\.md)"', text))
    rest = [page for page in pages() if page not in named]
    for star in re.findall(r'"([\w/-]*)\*"', text):
        here = [page for page in rest if page.rpartition("/")[0] == star.rstrip("/")]
        text = re.sub(rf'"{star}\*",?', "".join(f'"{page}", ' for page in here), text)
        rest = [page for page in rest if page not in here]
    if rest:
        sys.exit(f"docs/zensical.toml has no place for {', '.join(rest)}")
    return text


class Links(HTMLParser):
    """What a page of the site leads to, and the places in it that others can lead to."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.targets: list[str] = []
        self.places: set[str] = set()
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        self.places |= {given.get("id", ""), given.get("name", "")}
        self.targets += [given[name] for name in ("href", "src") if name in given]


def broken(site: Path) -> Iterator[str]:
    """`page: target` for each link inside the site that leads nowhere."""
    found = {path: Links(path.read_text(encoding="utf-8")) for path in site.rglob("*.html") if path.name != "404.html"}
    for page, links in found.items():
        for target in links.targets:
            parts = urlsplit(target)
            if parts.scheme or parts.netloc:
                continue
            path = (page.parent / unquote(parts.path)).resolve() if parts.path else page
            path = path / "index.html" if path.is_dir() else path
            place = unquote(parts.fragment)
            if not path.exists() or (place and path in found and place not in found[path].places):
                yield f"{page.relative_to(site)}: {target}"


def main() -> None:
    shutil.rmtree(BUILD, ignore_errors=True)
    stage(render())
    if subprocess.run([sys.executable, "-m", "zensical", "build", "--strict", "--clean"], cwd=BUILD).returncode:
        sys.exit("The site was not built: see above.")
    lost = sorted(set(broken(BUILD / "site")))
    if lost:
        sys.exit("These links lead nowhere:\n" + "\n".join(lost))
    print(
        f"{BUILD / 'site'}: {len(list((BUILD / 'site').rglob('*.html')))} pages, and each of their links leads somewhere"
    )


if __name__ == "__main__":
    main()
