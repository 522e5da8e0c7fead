"""One reader of .env, by Compose's own rules: whatever a person writes there, both engines see the same."""

import json
import shutil

import pytest
from conftest import checked

TRICKY = r"""
# a comment
PLAIN=value
TRAILING=local~~~
COMMENT=local # the engine
HASH=a#b
EMPTY=
BLANK=~~~
SINGLE='as it is: $PLAIN # "x"'
DOUBLE="local"
FILLED="<${PLAIN}> $PLAIN"
MULTI="one\ntwo"
QUOTE="a \"b\" \\ c"
export EXPORTED=yes
  INDENTED=yes
BARE=${PLAIN}-x
DEFAULT=${NOTHING:-word}
ALTERNATIVE=${PLAIN:+other}
EMPTYDEFAULT=${EMPTY-kept}
EMPTYWORD=${EMPTY:-word}
LATER="x" # behind
EQUALS=a=b=c
URL=http://x/?a=1&b=2
TWO="first
second"
UMLAUT=grüße
DOLLAR='$5'
""".replace("~", " ")  # blanks that no editor takes away


@pytest.fixture
def settings(render):
    from hooks.project import Project

    return Project(render()).module("settings")


@pytest.mark.skipif(not shutil.which("docker"), reason="there is no docker program")
def test_env_is_read_as_compose_reads_it(settings, tmp_path):
    names = [line.split("=")[0].split()[-1] for line in TRICKY.splitlines() if "=" in line and line[0] not in "#s"]
    (tmp_path / ".env").write_text(TRICKY)
    service = {"image": "x", "environment": {name: f"${{{name}-UNSET}}" for name in names}}
    (tmp_path / "docker-compose.yml").write_text(json.dumps({"name": "x", "services": {"a": service}}))
    shown = json.loads(checked("docker", "compose", "config", "--format", "json", cwd=tmp_path))
    # `config` doubles a dollar, so that its output can be read again.
    wanted = {name: text.replace("$$", "$") for name, text in shown["services"]["a"]["environment"].items()}
    assert settings.parse(TRICKY) == wanted


@pytest.mark.parametrize("line", ["ENGINE=local ", 'ENGINE="local"', "ENGINE='local'", "export ENGINE=local # mine"])
def test_the_engine_is_told_however_it_is_written(settings, line, monkeypatch):
    monkeypatch.delenv("ENGINE", raising=False)
    assert settings.Settings(settings.parse(line + "\n")).engine == "local"


def test_the_calling_shell_overrides_the_engine_for_once(settings, monkeypatch):
    monkeypatch.setenv("ENGINE", "docker")
    assert settings.Settings({"ENGINE": "local"}).engine == "docker"


def test_advice_names_the_engine_only_where_env_names_another(settings, tmp_path, monkeypatch):
    monkeypatch.setattr(settings, "PROJECT", tmp_path)
    for text, local, docker in [
        ("ENGINE=local\n", "make up", "make up ENGINE=docker"),
        ("ENGINE=docker\n", "make up ENGINE=local", "make up"),
        ("", "make up ENGINE=local", "make up"),
    ]:
        (tmp_path / ".env").write_text(text)
        assert (settings.start_command("local"), settings.start_command("docker")) == (local, docker)


@pytest.mark.parametrize(
    "text, name, message",
    [
        ("ENGINE=podman\n", "engine", "ENGINE=podman"),
        ("WORKERS=many\n", "workers", "WORKERS=many is not a number of workers"),
        ("WORKERS=33\n", "workers", "from 0 to 32"),
    ],
)
def test_a_wrong_value_is_named(settings, text, name, message, monkeypatch):
    monkeypatch.delenv("ENGINE", raising=False)
    with pytest.raises(settings.Problem, match=message):
        getattr(settings.Settings(settings.parse(text)), name)


@pytest.mark.parametrize(
    ("text", "amount"),
    [("512m", 2**29), ("1.5g", 3 * 2**29), ("2GiB", 2**31), (" 64 MB ", 2**26), ("1024", 1024), ("", 2**30)],
)
def test_an_amount_of_memory_is_read_as_docker_reads_it(settings, text, amount):
    assert settings.Settings({"REDIS_MEMORY": text}).memory("REDIS_MEMORY", default="1g") == amount


@pytest.mark.parametrize("text", ["much", "1x", "-1g", "1,5g"])
def test_what_is_no_amount_of_memory_is_said(settings, text):
    with pytest.raises(
        settings.Problem, match=f"REDIS_MEMORY={text} is not an amount of memory; write it as 512m or 2g"
    ):
        settings.Settings({"REDIS_MEMORY": text}).memory("REDIS_MEMORY", default="1g")


def test_a_changed_value_leaves_every_other_line_as_it_is(settings, tmp_path):
    path = tmp_path / ".env"
    path.write_text("# mine\nexport WORKERS=1\nA='x y' # z\n")
    settings.change({"WORKERS": 4, "NEW": "n"}, path)
    assert path.read_text() == "# mine\nWORKERS=4\nA='x y' # z\nNEW=n\n"
    assert path.stat().st_mode & 0o777 == 0o600
