"""Step: git, with branch main and one commit."""

import os
import shlex
import shutil
import subprocess
from pathlib import Path

from hooks.outcome import Outcome

MESSAGE = "Generate the project with dsproj"
INIT = "git init --quiet --initial-branch=main"  # harmless where there is a repository


def commit(project):
    """Make the repository and its first commit; never inside another one, never a second commit."""
    try:
        import git
    except ImportError as error:  # GitPython is missing, or it found no git
        return Outcome("no commit", str(error).strip().splitlines()[0], by_hand())
    try:
        return first_commit(git, project)
    except git.GitCommandError as error:
        said = f"{error.stderr}\n{error.stdout}".replace("stderr: ", "").replace("stdout: ", "").strip(" \n'")
        why = next(iter(said.splitlines()), f"git ended with {error.status}")
        trust = f"git config --global --add safe.directory {shlex.quote(str(project.path))}"
        return Outcome("no commit yet", why, by_hand(*[trust] * ("safe.directory" in said)))


def first_commit(git, project):
    outer = enclosing(git, project.path)
    if outer and outer != project.path:
        return Outcome(f"part of the repository {outer}; no nested one is made, commit there when you like")
    if not outer:
        git.Git(project.path).init(initial_branch="main")
    project.module("host.gitconfig").use()
    with opened(git, project.path) as repo:
        if repo.head.is_valid():
            state = "with changes to commit" if repo.is_dirty(untracked_files=True) else "nothing to commit"
            return Outcome(f"a repository already, {state}")
        own = [each.file for each in project.module("sets").data_sets()]
        kept_out = project.module("host.loading").keep_out_of_git(project.path, own)
        repo.git.add(all=True)
        if not identity(repo):
            why = "git knows no name and e-mail address for you"
            return Outcome("no commit yet", why, by_hand(*introduction(project.answers)))
        # Signing may wait for a passphrase, and a global hook, of whatever kind, is about the user's own commits.
        settings = ["-c", "commit.gpgsign=false", "-c", f"core.hooksPath={os.devnull}"]
        repo.git.execute(["git", *settings, "commit", "--quiet", "-m", MESSAGE])
        # The index then holds no file sizes, and git's next look compares content, through the filter for notebooks: one
        # that has run by then, and grew by its output, does not count as modified.
        repo.git.read_tree("HEAD")
        hooks = "; pre-commit checks what you commit" if install_hooks(project.path) else ""
        left_out = "".join(f"; left out, {why.partition(',')[0]}: data/{name}" for name, why in kept_out.items())
        return Outcome(f"branch {repo.active_branch.name}, commit {repo.head.commit.hexsha[:7]}{hooks}{left_out}")


def install_hooks(path):
    """`pre-commit install`, where that program is; False where it is not, or where git takes its hooks from elsewhere."""
    program = shutil.which("pre-commit")
    return bool(program) and subprocess.run([program, "install"], cwd=path, capture_output=True).returncode == 0


def opened(git, path, **options):
    """The repository, whatever its folder is called.

    GitPython fills in variables in a name that is a text, not a Path, and works in the current folder where that leads nowhere.
    """

    class Repo(git.Repo):
        GitCommandWrapperType = staticmethod(lambda folder: git.Git(Path(folder)))

    return Repo(path, expand_vars=False, **options)


def enclosing(git, path):
    """The work tree that `path` lies in, or None."""
    try:
        with opened(git, path, search_parent_directories=True) as repo:
            return None if repo.bare else type(path)(repo.working_tree_dir).resolve()
    except git.InvalidGitRepositoryError:
        return None


def identity(repo):
    """Has the user told git who they are? Asked before git guesses an address from the host's name."""
    with repo.config_reader() as config:
        return all(
            os.environ.get(f"GIT_AUTHOR_{key.upper()}")
            or os.environ.get("EMAIL" if key == "email" else "")
            or config.get_value("user", key, "")
            for key in ("name", "email")
        )


def introduction(answers):
    """The commands that tell git who the user is; in this repository alone where there is no home folder."""
    name, email = answers.get("author_name") or "Your Name", answers.get("author_email") or "you@example.org"
    scope = "git config --global" if os.access(os.path.expanduser("~"), os.W_OK) else "git config"
    return [INIT, f"{scope} user.name {shlex.quote(name)}", f"{scope} user.email {shlex.quote(email)}"]


def by_hand(*first):
    """The command that does what this step does, wherever it has stopped; `first` are commands that go before."""
    made = [INIT, "git config include.path ../.dsproj/gitconfig", "git add --all"]
    return " && ".join(dict.fromkeys([*first, *made, f'git commit -m "{MESSAGE}"']))
