"""Run notebooks top to bottom, each in a fresh kernel, and leave the notebooks themselves as they are: make run, make report."""

# nbclient does the work, as Jupyter's own tools have it. Parameters are papermill's convention: a cell with the tag
# `parameters` has the defaults, and after it comes a cell with the values of this run.

import ast
import asyncio
import hashlib
import json
import os
import re
import shlex
import tempfile
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from types import SimpleNamespace as Run
from typing import Any

import jinja2
import nbformat
from jupyter_client.kernelspec import NoSuchKernel
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError

from dsproj.errors import Problem
from dsproj.files import replace_text
from dsproj.kernel import memory
from dsproj.report import LINES, Report, Stopwatch, serve
from dsproj.settings import PROJECT, slug

REPORTS = PROJECT / "reports"
RUNS, PAGES = REPORTS / "runs", REPORTS / "journal"
KNOWN = PAGES / "results.json"  # {notebook: {cell: digest of its results}}, of the last time that it ran well
# Tags of cells. The last is nbval's, for a cell whose results are different each time.
PARAMETERS, INJECTED, IGNORED = "parameters", "injected-parameters", "nbval-ignore-output"
# What differs from run to run and says nothing: times, addresses in memory, made-up ids.
VOLATILE = (
    r"\b\d[\d.,]*\s?(?:[nµum]?s|sec(?:ond)?s?|min(?:ute)?s?)\b|\b0x[0-9a-f]{6,}|[0-9a-f]{8}(?:[-_][0-9a-f]{4,12}){4}"
)
NUMBER = re.compile(r"(?<=^\d{8}-)\d+(?=-)")  # of the day, in a notebook's name

# A run has the path, the notebook with its results (None where the file is none), its failure ("" for none), its seconds.

# --- which notebooks, with which parameters


def journal() -> list[Path]:
    """The notebooks of ipynb/ by day and number; those that are not called so come last."""
    known = (PROJECT / "ipynb").glob("[!.]*.ipynb")
    return sorted(known, key=lambda path: NUMBER.sub(lambda found: found[0].zfill(9), path.stem))


def find(wanted: str) -> list[Path]:
    """The notebooks that NB means: a number, a path, or a part of the name; all of them for ""."""
    path = (PROJECT / wanted).resolve()
    if path.suffix == ".ipynb" and path.is_file() and path.is_relative_to(PROJECT):
        return [path]
    known, part = journal(), wanted.strip().replace(" ", "_").casefold()
    is_number = part.isdecimal() and len(part) < 8  # else the digits of a date
    pattern = rf"\d{{8}}-0*{part.lstrip('0')}-" if is_number else f".*{re.escape(part)}"
    found = [path for path in known if re.match(pattern, path.stem.replace(" ", "_").casefold())]
    if not found or (is_number and len(found) > 1):
        what = "more than one has that number" if found else "no such notebook; there are"
        raise Problem(f"NB={wanted}: {what}: {', '.join(path.stem for path in found or known) or 'none'}")
    return found


def parse(text: str) -> dict[str, str]:
    """{name: Python expression} of SET: `year=2025 title="two words"`. What is no Python literal is text."""
    try:
        pairs = [word.partition("=") for word in shlex.split(text)]
    except ValueError as error:
        raise Problem(f"SET: {str(error).lower()}") from None
    if wrong := [name for name, equals, _ in pairs if not equals or not name.isidentifier()]:
        raise Problem(f"SET: {wrong[0]} is not name=value", "make run SET=\"year=2025 title='two words'\"")
    return {name: value.strip() if is_literal(value) else repr(value) for name, _, value in pairs}


def is_literal(text: str) -> bool:
    try:
        ast.literal_eval(text)
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
        return False
    return True


def tags(cell: Any) -> list[str]:
    return cell.metadata.get("tags", [])


def parameters(notebook: Any) -> list[str]:
    """The names that a notebook's cell of parameters gives values to."""
    cells = [cell.source for cell in notebook.cells if PARAMETERS in tags(cell)]
    return re.findall(r"^(\w+)[ \t]*(?::[^=\n]+)?=(?!=)", "\n".join(cells), re.M)


def inject(notebook: Any, given: dict[str, str]) -> None:
    """Put the values that a notebook has parameters for after its own."""
    if lines := [f"{name} = {value}" for name, value in given.items() if name in parameters(notebook)]:
        notebook.cells = [cell for cell in notebook.cells if INJECTED not in tags(cell)]
        place = next(number for number, cell in enumerate(notebook.cells, start=1) if PARAMETERS in tags(cell))
        notebook.cells.insert(place, nbformat.v4.new_code_cell("\n".join(lines), metadata={"tags": [INJECTED]}))


def check_parameters(paths: list[Path], given: dict[str, str]) -> None:
    """Problem for a parameter that none of the notebooks has."""
    runs = [load(path) for path in paths if given]
    known = {run.path.stem: parameters(run.notebook) for run in runs if run.notebook}
    if missing := sorted(given.keys() - set().union(*known.values())):
        has = "; ".join(f"{stem} has {', '.join(names)}" for stem, names in known.items() if names)
        raise Problem(
            f"SET: no parameter {', '.join(missing)}; {has or 'there is none: no cell has the tag `parameters`'}"
        )


# --- running


def load(path: Path) -> Run:
    """The notebook in a file, without old results; where there is none, that is its failure."""
    run = Run(path=path, notebook=None, failure="", seconds=0.0)
    try:
        nbformat.validate(notebook := nbformat.read(path, as_version=4))
        for cell in code_cells(notebook):
            cell.outputs, cell.execution_count = [], None
        run.notebook = notebook
    except Exception as error:  # of many kinds: no JSON, no dict, no cells, of another century
        run.failure = f"is no notebook: {(str(error).strip() or repr(error)).splitlines()[0][:150]}"
    return run


def code_cells(notebook: Any) -> list[Any]:
    """Those that run. The first is number 1, as JupyterLab counts them after "Restart Kernel and Run All Cells"."""
    cells = [cell for cell in notebook.cells if cell.cell_type == "code" and cell.source.strip()]
    return [cell for cell in cells if INJECTED not in tags(cell)]


async def execute(run: Run, given: dict[str, str], doing: Callable[[str], None]) -> None:
    """Run a notebook, where it has its place, with these parameters."""
    inject(run.notebook, given)
    cells, place, lines = code_cells(run.notebook), "", [""]
    process, killed_before = None, memory.kills()

    def begins(cell: Any, **_: Any) -> None:
        nonlocal place, lines, process
        process = getattr(client.km.provisioner, "process", None)  # gone from there when it has died
        number = cells.index(cell) + 1 if cell in cells else "of parameters"
        place, lines = f"cell {number}", cell.source.splitlines()
        doing(f"{run.path.stem}: {place} of {len(cells)}")

    # For Python there is one kernel here, whatever an editor called it elsewhere.
    is_python = run.notebook.metadata.get("kernelspec", {}).get("language", "python") == "python"
    client = NotebookClient(
        run.notebook, timeout=None, kernel_name="python3" if is_python else "", store_widget_state=False,
        coalesce_streams=True, resources={"metadata": {"path": str(run.path.parent)}}, on_cell_execute=begins,
    )  # fmt: skip
    try:
        await client.async_execute()
    except CellExecutionError as error:
        found = re.search(r"Cell In\[\d+\], line (\d+)", re.sub(r"\x1b\[[\d;]*m", "", error.traceback))
        at = f", line {found[1]} ({lines[int(found[1]) - 1].strip()[:80]})" if found else ""
        said = [line.strip() for line in f"{error.ename}: {error.evalue}".splitlines() if line.strip()]
        limit = f". {memory.cure()}" if error.ename.endswith("MemoryError") else ""
        run.failure = f"{place}{at}: {' '.join(said[:2])[:300]}{limit}"
    except (RuntimeError, NoSuchKernel) as error:  # DeadKernelError, also where the work was called off; or none begun
        if (task := asyncio.current_task()) and task.cancelling():
            raise asyncio.CancelledError from None
        why = memory.of_kernel(process and process.poll(), memory.kills() > killed_before)
        died = f"{place} ({lines[0][:80]}): the kernel died. {why}"
        run.failure = died if place else f"its kernel does not start: {error}"


async def run_each(paths: list[Path], given: dict[str, str], report: Report, keep: Callable[[Run], Any]) -> list[Run]:
    """Run notebooks one after the other, and say of each how it went; `keep` has it then and may add to what is said."""
    loop, task = asyncio.get_running_loop(), asyncio.current_task()
    if os.environ.pop(LINES, ""):  # nor is that for what the notebooks start
        # Ctrl-C does not reach a container. But the caller holds an end of a pipe, which closes with it.
        loop.add_reader(0, lambda: loop.remove_reader(0) and task and task.cancel())
    runs, width = [], max(len(path.stem) for path in paths)
    for path in paths:
        watch, run = Stopwatch(), load(path)
        if run.notebook:
            await execute(run, given, report.doing)
        run.seconds = watch.seconds
        said = ", ".join(filter(None, [f"FAILED  {run.failure}" if run.failure else "ok", keep(run)]))
        report.done(path.stem.ljust(width), said, run.seconds)
        runs.append(run)
    return runs


def keep_copy(run: Run, given: dict[str, str]) -> None:
    """Write what came out of a run to reports/runs/, its parameters in the name."""
    if run.notebook:
        mine = " ".join(f"{name}={given[name]}" for name in parameters(run.notebook) if name in given)
        name = f"{run.path.stem} {re.sub(r'[^a-zA-Z0-9_=.,+-]+', '_', mine)[:80]}".strip()
        replace_text(RUNS / f"{name}.ipynb", nbformat.writes(run.notebook))


# --- the report


def results(notebook: Any) -> dict[str, str]:
    """{cell: digest of what came out of it}; what is on standard error, such as bars and warnings, is no result."""
    found = {}
    for number, cell in enumerate(code_cells(notebook), start=1):
        outputs = [] if IGNORED in tags(cell) else cell.outputs
        text = "".join(each.text for each in outputs if each.get("name") == "stdout")
        shown = [each.get("data") or each.get("evalue") for each in outputs if each.output_type != "stream"]
        shown = [each for each in shown if not _is_bar(each)]
        plain = re.sub(VOLATILE, "…", json.dumps([text, shown], sort_keys=True))
        found[cell.get("id", str(number))] = hashlib.sha256(plain.encode()).hexdigest()[:16]
    return found


def _is_bar(shown: Any) -> bool:
    """A bar, as a widget or as bar.py draws it: how long something took, and no result."""
    kinds = shown if isinstance(shown, dict) else {}
    return "application/vnd.jupyter.widget-view+json" in kinds or "<progress " in kinds.get("text/html", "")


def page(run: Run) -> str:
    """A notebook as one HTML file, pictures and all; only formulas and diagrams need the network."""
    from nbconvert import HTMLExporter

    words = re.sub(r"<script.*?</script>", "", json.dumps(run.notebook))  # a grid's, whose jQuery is called $
    math = {} if re.search(r"\$|\\\\[(\[]|text/latex", words) else {"mathjax_url": ""}
    exporter = HTMLExporter(embed_images=True, require_js_url="", **math)
    where = {"metadata": {"name": run.path.stem, "path": str(run.path.parent)}}
    text = re.sub(r'<script[^>]*src=""[^>]*>\s*</script>', "", exporter.from_notebook_node(run.notebook, where)[0])
    return re.sub(r'href="([^":/]+)\.ipynb"', r'href="\1.html"', text)  # the next notebook is the next page


def add(run: Run, folder: str, known: dict[str, dict[str, str]], rows: list[Any]) -> str:
    """Write the page, a row of the index (see journal.html), and what is known for next time; which results changed, in words."""
    name, last = run.path.stem, known.get(run.path.stem)
    picture, changed = "", {}
    if run.notebook:
        Path(folder, f"{name}.html").write_text(page(run), encoding="utf-8")
        nbformat.write(run.notebook, Path(folder, f"{name}.ipynb"))
        outputs = [each.get("data", {}) for cell in code_cells(run.notebook) for each in cell.outputs]
        picture = next((each["image/png"].replace("\n", "") for each in outputs if "image/png" in each), "")
    if not run.failure:
        known[name] = results(run.notebook)
        cells = enumerate(known[name].items(), start=1)
        changed = {str(number): cell for number, (cell, new) in cells if last is not None and new != last.get(cell)}
    rows.append((run, f"{PAGES.name}/{name}.html" * bool(run.notebook), picture, changed, last is None))
    return "" if last is None or run.failure else f"changed in cell {', '.join(changed)}" if changed else "as before"


def show(paths: list[Path], report: Report) -> list[Run]:
    """Run them, and make pages of them."""
    PAGES.mkdir(parents=True, exist_ok=True)
    known, rows = json.loads(KNOWN.read_text(encoding="utf-8")) if KNOWN.exists() else {}, list[Any]()
    # All of it comes to a folder beside, and takes the place of the last one in the end.
    with tempfile.TemporaryDirectory(dir=REPORTS, prefix=".", suffix=".part") as folder:
        runs = asyncio.run(run_each(paths, {}, report, lambda run: add(run, folder, known, rows)))
        for file in Path(folder).iterdir():
            os.replace(file, PAGES / file.name)
    index = jinja2.Template(Path(__file__).with_name("journal.html").read_text(encoding="utf-8"), autoescape=True)
    replace_text(KNOWN, json.dumps(known, indent=1))
    replace_text(REPORTS / "index.html", index.render(title=f"{slug()}: the journal", now=datetime.now(), rows=rows))
    return runs


def main(report: Report, what: str, wanted: str = "", settings: str = "") -> None:
    paths, given = find(wanted), parse(settings)
    check_parameters(paths, given)
    if what == "report":
        failed, there = sum(bool(run.failure) for run in show(paths, report)), f"{REPORTS.name}/index.html"
    else:
        there = f"executed copies are in {RUNS.relative_to(PROJECT)}/"
        RUNS.mkdir(parents=True, exist_ok=True)
        if what == "queue":
            from dsproj.kernel.run_queued import run_all

            failed = run_all(paths, given, report)
        else:
            runs = asyncio.run(run_each(paths, given, report, lambda run: keep_copy(run, given)))
            failed = sum(bool(run.failure) for run in runs)
    report.done(what, there)
    if failed:
        raise Problem(f"{failed} of {len(paths)} notebooks failed; what came out of all others is there")


if __name__ == "__main__":
    serve(main)
