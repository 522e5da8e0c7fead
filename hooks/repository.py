"""Step: git, with branch main and one commit."""

import os

from hooks.outcome import Outcome

MESSAGE = "Generate the project with dsproj"


def commit(project):
    """Make the repository and its first commit; never inside another one, never a second commit."""
    try:
        import git
    except ImportError as error:  # GitPython is missing, or it found no git
        return Outcome("no commit", str(error).strip().splitlines()[0], by_hand())
    outer = enclosing(git, project.path)
    if outer and outer != project.path:
        return Outcome(f"part of the repository {outer}; no nested one is made, commit there when you like")
    repo = git.Repo(project.path) if outer else git.Repo.init(project.path, initial_branch="main")
    with repo:
        with repo.config_writer() as config:
            config.set_value("include", "path", "../.dsproj/gitconfig")
        if repo.head.is_valid():
            state = "with changes to commit" if repo.is_dirty(untracked_files=True) else "nothing to commit"
            return Outcome(f"a repository already, {state}")
        own = [each.file for each in project.module("sets").data_sets()]
        kept_out = project.module("host.datasets").keep_out_of_git(project.path, own)
        repo.git.add(all=True)
        if not identity(repo):
            return Outcome("no commit yet", "git knows no name and e-mail address for you", by_hand(project.answers))
        try:
            # Signing may wait for a passphrase, and a global commit hook is about the user's own commits.
            repo.git.execute(["git", "-c", "commit.gpgsign=false", "commit", "--quiet", "--no-verify", "-m", MESSAGE])
        except git.GitCommandError as error:
            return Outcome("no commit yet", error.stderr.strip().splitlines()[-1], f'git commit -m "{MESSAGE}"')
        # The index then holds no file sizes, and git's next look compares content, through the filter for notebooks: one
        # that has run by then, and grew by its output, does not count as modified.
        repo.git.read_tree("HEAD")
        left_out = "".join(f"; left out, {why.partition(',')[0]}: data/{name}" for name, why in kept_out.items())
        return Outcome(f"branch {repo.active_branch.name}, commit {repo.head.commit.hexsha[:7]}{left_out}")


def enclosing(git, path):
    """The work tree that `path` lies in, or None."""
    try:
        with git.Repo(path, search_parent_directories=True) as repo:
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


def by_hand(answers=None):
    name, email = (answers or {}).get("author_name"), (answers or {}).get("author_email")
    return (
        f'git config --global user.name "{name or "Your Name"}" && '
        f"git config --global user.email {email or 'you@example.org'} && "
        f'git commit -m "{MESSAGE}"'
    )
