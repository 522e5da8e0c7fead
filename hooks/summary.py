"""Step: what there is now, and what to type next."""

import os
import shlex

from hooks import console


def line(name, outcome, seconds):
    """One step, when it is over."""
    mark, style = ("✓", None) if outcome.complete else ("!", "yellow")
    text, *notes = outcome.text.splitlines()
    console.say(f"{mark} {name:<13}{text}  ({seconds:.1f} s)", style=style)
    for note in notes:
        console.say(f"  {'':<13}{note}", style=style)
    if not outcome.complete:
        why, *more = outcome.why.splitlines()
        for each in (f"why: {why}", *more):
            console.say(f"  {'':<13}{each}", style="yellow")
        console.say(f"  {'':<13}to finish: {outcome.command}", style="yellow")
    for entry in outcome.log:
        console.say(f"  {'':<13}| {entry}", style="dim")


def show(project, results):
    """The services and their addresses, the rows, the time, the next command; last, JupyterLab's link."""
    stack, _ = results["Stack"]
    name, running = " ".join(project.answers["project_name"].split()), "rows" in stack.facts
    console.say()
    console.say(f"{name} is running." if running else f"{name} is generated; it does not run yet.", style="bold")
    console.say()
    if running:
        lab, *others = project.module("host.links").links()
        for what, address in others:
            console.say(f"  {what:<12}{address}")
        for table, count, synthetic in stack.facts["rows"]:
            console.say(f"  {'PostgreSQL':<12}table {table}, {count:,} rows")
            if synthetic:
                console.say(f"  {'':<12}THESE ROWS ARE A SYNTHETIC SAMPLE, NOT THE REAL DATA.", style="bold red")
                console.say(f"  {'':<12}When online, load the real data: make dataset", style="bold red")
                if place := results["Data"][0].facts.get("synthetic"):
                    console.say(f"  {'':<12}With the file at hand: copy it to {place}, then the same", style="bold red")
        for name, count, synthetic, *_ in stack.facts.get("documents", ()):
            console.say(f"  {'MongoDB':<12}collection {name}, {count:,} documents")
            if synthetic:
                console.say(f"  {'':<12}THESE DOCUMENTS ARE SYNTHETIC: AN INVENTED SURVEY.", style="bold red")
                console.say(f"  {'':<12}Your own: make dataset SOURCE=<file.json> TO=mongo", style="bold red")
    said = set()
    for step, (outcome, _) in results.items():
        if not outcome.complete and not outcome.facts.get("synthetic") and outcome.command not in said:
            console.say(f"  {'To do':<12}{step}: {outcome.command}", style="yellow")
            said.add(outcome.command)
    console.say(
        f"  {'Took':<12}" + ", ".join(f"{step.lower()} {seconds:.1f} s" for step, (_, seconds) in results.items())
    )
    folder = min(os.path.relpath(project.path, os.environ.get("PWD", ".")), str(project.path), key=len)
    enter = "" if folder == "." else f"cd {quoted(folder)} && "
    console.say(f"  {'Next':<12}{enter}make {'help' if running else 'up'}")
    if running:
        console.say()
        console.say(f"Open {lab[0]}: {lab[1]}", style="bold")


def quoted(path):
    """A path as a shell takes it."""
    return shlex.quote(path if not path.startswith("-") else f"./{path}")
