"""What moves when a project from before the machine room is updated: what git and the seed read, and the linter's rules."""

from __future__ import annotations

import ast
import re
from pathlib import Path

from hooks.edited import before, git

SEED, SEEDS = "docker/postgres/dataset.env", Path("docker/postgres/datasets")
RULES = "ruff.toml"
FILTER = "local/gitconfig"
EXCLUDE = 'extend-exclude = [".dsproj"]'
Lines = list[str]


def move(gone: Lines, edited: Lines, old: Path) -> tuple[Lines, Lines]:
    """Move what has another place now.

    gone: paths that the template has given up; edited: those with edits of the user's; old: the folder with the files as
    the template had them. Returns the lines to say, and the paths that nothing else has to be done about.
    """
    said, done = [], []
    if FILTER in gone:
        move_filter()
    if SEED in gone:
        lines, is_whole = move_seed(old)
        said += lines
        done += [SEED] if is_whole else []
    if RULES in edited:
        said += keep_rules()
        done.append(RULES)
    return said, done


def move_filter() -> None:
    """The filter for notebooks, which .git/config includes."""
    former = f"../{FILTER}"
    if former in git("config", "--local", "--get-all", "include.path").split("\n"):
        git("config", "--local", "--replace-all", "include.path", "../.dsproj/gitconfig", f"^{re.escape(former)}$")


# --- the project's own data set


def assignments(text: str) -> dict[str, str]:
    """{name: the whole line} of the lines that give a variable a value."""
    return {found[1]: found[0] for found in re.finditer(r"^([A-Z_0-9]+)=.*$", text, re.M)}


def move_seed(old: Path) -> tuple[Lines, bool]:
    """Give the data set's new file what the user's old one says; the lines to say, and whether that is all it said."""
    mine = before(SEED).decode("utf-8", "replace")
    base = (old / SEED).read_text(encoding="utf-8") if (old / SEED).exists() else ""
    changed = {name: line for name, line in assignments(mine).items() if line not in base.split("\n")}
    # What is no assignment cannot be put anywhere: a comment, a value over two lines.
    is_whole = not set(mine.split("\n")) - set(base.split("\n")) - set(changed.values())
    table = assignments(mine).get("SEED_TABLE", "").partition("=")[2].strip("'\"")
    if not table:
        return [], is_whole
    target, rendered = SEEDS / f"{table}.env", new_seed(base)
    text = rendered.read_text(encoding="utf-8") if rendered else f"{mine.rstrip()}\nSEED_SQL=../initdb.sql\n"
    for name, line in changed.items():
        text, found = re.subn(rf"^{name}=.*$", lambda _, line=line: line, text, flags=re.M)
        text = text if found else f"{text.rstrip()}\n{line}\n"
    if rendered and rendered != target:
        rendered.unlink()
    SEEDS.mkdir(exist_ok=True)
    target.write_text(text, encoding="utf-8", newline="\n")
    extra = f", with what had changed in it: {', '.join(changed)}" if changed else ""
    return [f"MOVED: {SEED} is now {target.as_posix()}{extra}"], is_whole


def new_seed(base: str) -> Path | None:
    """The file of the project's own data set as the template has it now; None where it has none."""
    table = assignments(base).get("SEED_TABLE", "").partition("=")[2].strip("'\"")
    path = SEEDS / f"{table}.env"
    return path if table and path.exists() else None


# --- the linter


def keep_rules() -> Lines:
    """ruff reads ruff.toml before pyproject.toml, so the user's rules hold where they are."""
    mine = before(RULES).decode("utf-8", "replace")
    hint = ""
    if ".dsproj" not in mine and re.search(r"^extend-exclude\b", mine, re.M):
        hint = '; add ".dsproj" to its extend-exclude'
    elif ".dsproj" not in mine:
        mine = f"# The machine room has its own rules; an update replaces it.\n{EXCLUDE}\n{mine}"
    Path(RULES).write_text(mine, encoding="utf-8", newline="\n")
    return [
        f"KEPT: {RULES} with your rules, which ruff reads in place of pyproject.toml{hint}. To have them in one place: "
        "put them into [tool.ruff] of pyproject.toml, then delete it"
    ]


# --- files of the user's that name what has gone

READERS = ("*.ipynb", "*.py", "*.sh", "*.yml", "*.yaml", "*.toml", "*Makefile", "*Dockerfile")


def users_of(gone: Lines) -> Lines:
    """A line for each file of the user's that imports or calls what is not there any more; none is touched."""
    gone = [path for path in gone if not Path(path).exists()]
    unmerged = git("diff", "--name-only", "--relative", "--diff-filter=U").splitlines()
    names = [name for name in git("ls-files", "--", *READERS).splitlines() if name not in (*gone, *unmerged)]
    commit, said = git("rev-parse", "--short", "HEAD").strip(), []
    for name in names:
        if Path(name).exists() and not name.startswith(".dsproj/"):
            content = Path(name).read_text(encoding="utf-8", errors="replace")
            if found := [path for path in gone if uses(content, path)]:
                said.append(
                    f"{name} uses {' and '.join(found)}, gone with this version; it is yours and left as it is. "
                    f"To see what it used: git show {commit}:{found[0]}"
                )
    return said


def uses(content: str, path: str) -> bool:
    """Does a text name the file at the path, or import it as a module?"""
    if re.search(rf"(?<![\w./-]){re.escape(path)}\b", content):
        return True
    if not path.endswith(".py"):
        return False
    folder, _, module = path[: -len(".py")].rpartition("/")
    if folder.startswith("docker/"):  # imported by a notebook that has put the folder on sys.path
        return folder in content and bool(re.search(rf"\b(import|from) {module}\b", content))
    dotted = f"{folder.replace('/', '.')}.{module}" if folder else module
    return bool(re.search(rf"\b(import|from) {re.escape(dotted)}\b", content))


def left_to_do() -> Lines:
    """Lines on what a person has to look at after the move, beside the files that have gone."""
    return lost_names() + misplaced_sources()


def lost_names() -> Lines:
    """A line for each file of the user's that takes from lib/ a name which is not there any more."""
    said = []
    for module in sorted(Path("lib").glob("*.py")):
        lost = defined(before(module.as_posix()), imports=False) - defined(module.read_bytes(), imports=True)
        for name in git("ls-files", "--", "*.ipynb", "*.py").splitlines() if lost else []:
            content = Path(name).read_text(encoding="utf-8", errors="replace") if Path(name).exists() else ""
            if f"lib.{module.stem}" not in content or name.startswith(".dsproj/"):
                continue
            if found := sorted(word for word in lost if re.search(rf"\b{word}\b", content)):
                said.append(f"{name} uses {', '.join(found)} of {module}, gone with this version; it is left as it is")
    return said


def defined(source: bytes, imports: bool) -> set[str]:
    """The public names that a module's text binds, with those that it imports or without."""
    try:
        nodes = ast.parse(source).body
    except (SyntaxError, ValueError):
        return set()
    found = {node.name for node in nodes if isinstance(node, (ast.FunctionDef, ast.ClassDef))}
    for node in nodes:
        if isinstance(node, (ast.Assign, ast.AnnAssign)):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            found |= {target.id for target in targets if isinstance(target, ast.Name)}
        elif imports and isinstance(node, (ast.Import, ast.ImportFrom)):
            found |= {(alias.asname or alias.name) for alias in node.names}
    return {name for name in found if not name.startswith("_")}


def misplaced_sources() -> Lines:
    """A line for each COPY of the user's that was meant from the Dockerfile's folder: images are built from the project's."""
    said = []
    for file in sorted(Path("docker").glob("*/Dockerfile")):
        for line in file.read_text(encoding="utf-8", errors="replace").splitlines():
            command, *words = line.split() or [""]
            sources = [word for word in words if not word.startswith("-")][:-1]
            for source in sources if command.upper() in ("COPY", "ADD") and "--from" not in line else []:
                if not Path(source).exists() and (file.parent / source).exists():
                    said.append(
                        f"{file}: images are built from the project's folder now: {source} is {file.parent / source}"
                    )
    return said
