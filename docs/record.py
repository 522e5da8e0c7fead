"""Recordings of a terminal, of real runs: first-minute.svg, tutorial-terminal.svg and second-person.svg.

    python docs/record.py [FOLDER [NAME]]      to docs/pictures, or a folder; all of them, or up to that one

What is typed runs in a pseudo-terminal, as it stands on the pages, without Docker; git is told that the template's address is
a clone of this repository. Only waits are shortened, and keys cut. The projects are destroyed at the end.
"""

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PICTURES = Path(*sys.argv[1:2] or [ROOT / "docs" / "pictures"]).resolve()
LAST = (sys.argv[2:] or ["second-person"])[0]
PROGRAM = str(Path(sys.executable).with_name("termtosvg"))
LONGEST = 1.5  # seconds that a screen stays the same
SPINNING = 0.25  # the share that is left of the time in which something turns
PAUSE = 8000  # milliseconds at the end, before it begins again
DATA = ROOT.parent / "shared" / "data" / "adult.data"  # where it is at hand, as for the tests; else it is fetched

FIRST = [
    "copier copy --trust --defaults -q gh:org/dsproj myproj",
    "cd myproj && make ps",
]
if DATA.exists():
    FIRST[0] = FIRST[0].replace("gh:", "-d dataset_source='~/Downloads/adult.data' gh:")
TUTORIAL = [
    "make dataset SOURCE=wine.csv",
    "git add -A && git commit -qm 'Load what a chemist measured in 178 wines'",
    "git show --oneline --stat && git log --oneline",
]

# What a workflow of the project does after each push, and whoever clones it.
SECOND = ["git clone -q ~/myproj && cd myproj", "make up", "make check", "make test", "make report"]
if DATA.exists():  # of which git has the name and the checksum
    SECOND.insert(1, "cp ~/Downloads/adult.data data/")

TYPE = r"""
type_() {
    printf '\033[32m$\033[0m '
    for ((i = 0; i < ${#1}; i++)); do printf '%s' "${1:i:1}"; sleep 0.03; done
    sleep 0.4; printf '\n'
    eval "$1"
    sleep 0.5
}
"""


def shortened(lines: list[str], home: str) -> str:
    """A recording with shorter waits, with ~ for the home folder, and with the project's keys cut after some letters."""
    header, *events = map(json.loads, lines)
    kept, before, now = [header], 0.0, 0.0
    for at, kind, text in events:
        wait = min(at - before, LONGEST) * (SPINNING if re.search("[\u2801-\u28ff]", text) else 1)
        before, now = at, now + wait
        kept.append([now, kind, re.sub(r"\b([0-9a-f]{8})[0-9a-f]{8,}\b", r"\1…", text.replace(home, "~"))])
    return "".join(f"{json.dumps(each)}\n" for each in kept)


def record(name: str, size: str, commands: list[str], folder: Path, environment: dict[str, str]) -> None:
    """Type commands in a folder, and draw what the terminal shows: NAME.svg."""
    with tempfile.TemporaryDirectory() as scratch:
        session, cast = Path(scratch, "session.sh"), Path(scratch, "session.cast")
        typed = "".join(f"type_ {json.dumps(command)}\n" for command in commands)
        session.write_text(TYPE + typed, encoding="utf-8")
        keyboard, _ = os.pipe()  # at which nobody types
        words = [PROGRAM, "record", str(cast), "-g", size, "-c", f"bash {session}"]
        subprocess.run(words, cwd=folder, env=environment, check=True, stdin=keyboard, stdout=subprocess.DEVNULL)
        lines = cast.read_text(encoding="utf-8").splitlines()
        cast.write_text(shortened(lines, environment["HOME"]), encoding="utf-8")
        picture = PICTURES / f"{name}.svg"
        words = ["render", str(cast), str(picture), "-t", "window_frame", "-D", str(PAUSE)]
        subprocess.run([PROGRAM, *words], check=True)
        picture.write_text(readable(picture.read_text(encoding="utf-8")), encoding="utf-8")


def readable(svg: str) -> str:
    """Bright colours as the plain ones are: the theme has dark greys for them, as on a terminal of light background."""
    colours = dict(re.findall(r"\.color(\d+) \{fill: (#\w+)\}", svg))

    def plain(found: re.Match[str]) -> str:
        return f".color{found[1]} {{fill: {colours[str(int(found[1]) - 8)]}}}"

    return re.sub(r"\.color(9|1[0-4]) \{fill: #\w+\}", plain, svg)


def main() -> None:
    with tempfile.TemporaryDirectory() as name:
        folder, project, template = Path(name), Path(name, "myproj"), Path(name, "template")
        second = folder / "second"
        second.mkdir()
        subprocess.run(["git", "clone", "--quiet", str(ROOT), str(template)], check=True)
        subprocess.run(["git", "tag", "--force", "v0.1.0"], cwd=template, check=True)
        cache = subprocess.run(["uv", "cache", "dir"], capture_output=True, text=True).stdout.strip()
        if DATA.exists():
            (folder / "Downloads").mkdir()
            shutil.copy(DATA, folder / "Downloads")
        environment = os.environ | {
            "HOME": str(folder),
            "UV_CACHE_DIR": cache,
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            "DOCKER_HOST": f"unix://{folder}/no-engine.sock",
            "GIT_CONFIG_COUNT": "2",
            "GIT_CONFIG_KEY_0": f"url.{template.as_uri()}.insteadOf",
            "GIT_CONFIG_VALUE_0": "https://github.com/org/dsproj.git",
            "GIT_CONFIG_KEY_1": "log.decorate",
            "GIT_CONFIG_VALUE_1": "false",
            "GIT_PAGER": "cat",
            "TERM": "xterm-256color",
        }
        for kind in ("AUTHOR", "COMMITTER"):
            environment |= {f"GIT_{kind}_NAME": "Ada", f"GIT_{kind}_EMAIL": "ada@example.org"}
        try:
            record("first-minute", "100x22", FIRST, folder, environment)
            if LAST == "first-minute":
                return
            tutorial = (ROOT / "docs" / "tutorial.md").read_text(encoding="utf-8")
            cell = re.search(r"```python\n(.*?)```", tutorial, re.S)[1]  # type: ignore[index]
            words = [sys.executable, ".dsproj", "exec", "python", "-c", cell]
            subprocess.run(words, cwd=project, env=environment, check=True)
            record("tutorial-terminal", "100x34", TUTORIAL, project, environment)
            record("second-person", "100x50", SECOND, second, environment)
        finally:
            for each in (project, second / "myproj"):
                if each.exists():
                    subprocess.run(["make", "destroy", "FORCE=1", "IMAGES=1"], cwd=each, env=environment)


if __name__ == "__main__":
    main()
