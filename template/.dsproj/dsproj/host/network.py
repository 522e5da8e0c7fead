"""How this machine reaches others: proxies, certificates and package indexes, for all that the project starts.

What is not in the calling shell is taken from .env, and an index also from pip's configuration. Every program that a
command starts has it from the environment; containers and the images' builds have it from .local/network/, which is
private and never in git. docs/corporate-networks.md of the template says more.
"""

from __future__ import annotations

import configparser
import os
import shlex
import ssl
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit

from dsproj.errors import Problem
from dsproj.files import private_folder, replace_text
from dsproj.host.docker_program import is_inside
from dsproj.settings import PROJECT, read

FOLDER = PROJECT / ".local" / "network"
BUNDLE, CONTAINER, BUILD = (FOLDER / name for name in ("ca-bundle.pem", "container.env", "build.env"))
PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY")
INDEXES = ("PIP_INDEX_URL", "PIP_EXTRA_INDEX_URL", "PIP_TRUSTED_HOST")
# Where a company's certificates may be named, and by which names programs look for a bundle of all.
NAMES = ("CA_BUNDLE", "SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "PIP_CERT")
READERS = (*NAMES[1:], "CURL_CA_BUNDLE", "AWS_CA_BUNDLE", "GIT_SSL_CAINFO", "NODE_EXTRA_CA_CERTS")
OURS = "localhost,127.0.0.1,::1,this_postgres,this_redis,this_mongo,this_jupyter,this_worker,this_monitor"
# Every system has its own file of public certificates.
SYSTEMS = ("certs/ca-certificates.crt", "ca-bundle.pem", "cert.pem", "../pki/tls/certs/ca-bundle.crt")
BEGIN = "-----BEGIN CERTIFICATE-----"


def apply() -> None:
    """Put the settings into this process's environment, each proxy by both of its names, and into the containers' files."""
    os.environ.update(variables(BUNDLE))
    if not is_inside():
        write()


def variables(bundle: Path) -> dict[str, str]:
    """What is set, by all names that programs know; `bundle` is the place of the certificates for who reads them."""
    env = read(PROJECT / ".env")
    given = {name: value for name in (*PROXIES, *INDEXES) if (value := said(name, env))}
    if any(name in given for name in PROXIES):
        given["NO_PROXY"] = ",".join(dict.fromkeys(f"{OURS},{said('NO_PROXY', env)}".strip(",").split(",")))
    given.update({name.lower(): value for name, value in given.items() if name.endswith("_PROXY")})
    if write_bundle(env):
        given.update(dict.fromkeys(READERS, str(bundle)))
    return given


def said(name: str, env: Mapping[str, str]) -> str:
    """A variable of the calling shell, which may write it small, else of .env."""
    return os.environ.get(name) or os.environ.get(name.lower()) or env.get(name, "")


# --- certificates


def own_certificates(env: Mapping[str, str]) -> Path | None:
    """The file of certificates that is not the system's own; None where there is none."""
    known = {os.path.realpath(path) for path in (*systems(), BUNDLE)}
    for name in NAMES:
        path = Path(PROJECT, os.path.expanduser(said(name, env)))
        if said(name, env) and os.path.realpath(path) not in known and (name == "CA_BUNDLE" or path.is_file()):
            return path
    return None


def write_bundle(env: Mapping[str, str]) -> bool:
    """Write those certificates and the public ones into one file, since most programs take but one; False without any."""
    own = own_certificates(env)
    try:
        text = own.read_text(encoding="utf-8") if own else ""
    except (OSError, UnicodeDecodeError):  # said by `check`
        text = ""
    if BEGIN not in text:
        return False
    public = next((path.read_text(encoding="utf-8", errors="replace") for path in systems()), "")
    if not public:  # Windows, and a Python of its own on macOS
        found = ssl.create_default_context().get_ca_certs(binary_form=True)
        public = "".join(map(ssl.DER_cert_to_PEM_cert, found))
    keep(BUNDLE, f"{public.rstrip()}\n{text}")
    return True


def systems() -> list[Path]:
    """The system's files of certificates that are there."""
    return [path for path in (Path("/etc/ssl", name) for name in SYSTEMS) if path.is_file()]


def check() -> None:
    """Problem where CA_BUNDLE leads to no certificates."""
    own = own_certificates(read(PROJECT / ".env"))
    if own and not (own.is_file() and BEGIN in own.read_text(encoding="utf-8", errors="replace")):
        what = "there is no such file" if not own.is_file() else f"there is no certificate in it ({BEGIN} …)"
        raise Problem(f"CA_BUNDLE={own}: {what}", "the path of a .pem file as CA_BUNDLE in .env, then: make up")


# --- containers


def write() -> None:
    """Write what containers and builds are given, and name it to Compose."""
    inside = variables(Path("/home/jovyan") / BUNDLE.relative_to(PROJECT))
    inside = {name: value.replace("'", "%27") for name, value in {**of_pip(), **inside}.items()}
    keep(CONTAINER, "".join(f"{name}='{value}'\n" for name, value in inside.items()))
    at_build = {name: "/run/secrets/certificates" if name in READERS else value for name, value in inside.items()}
    keep(BUILD, "".join(f"export {name}={shlex.quote(value)}\n" for name, value in at_build.items()))
    for name, path, used in (
        ("DSPROJ_NETWORK", BUILD, bool(inside)),
        ("DSPROJ_CERTIFICATES", BUNDLE, READERS[0] in inside),
    ):
        os.environ[name] = str(path) if used else ""


def notes() -> list[str]:
    """What a person who uses containers has to know, a line each."""
    near = [name for name in PROXIES if urlsplit(os.environ.get(name, "")).hostname in ("127.0.0.1", "localhost")]
    note = "this machine's own address, which containers do not reach; host.docker.internal may do, or ENGINE=local"
    return [f"{name} is {note}" for name in near]


def of_pip() -> dict[str, str]:
    """The indexes of pip's own configuration; without those on this machine's disk, which a container has not."""
    home = Path.home()
    places = ["/etc/pip.conf", home / ".pip/pip.conf", home / ".config/pip/pip.conf"]
    places += [home / "Library/Application Support/pip/pip.conf", home / "AppData/Roaming/pip/pip.ini"]
    config = configparser.RawConfigParser(strict=False)
    found = {}
    try:
        config.read([*map(str, places), os.environ.get("PIP_CONFIG_FILE", "")], encoding="utf-8")
    except (configparser.Error, UnicodeDecodeError):  # pip says what is wrong with it
        return {}
    for name in INDEXES:
        option = name[len("PIP_") :].lower().replace("_", "-")
        for section in ("global", "install"):
            words = config.get(section, option, fallback="").split()
            if words := [word for word in words if not word.startswith(("file:", "/"))]:
                found[name] = " ".join(words)
    return found


def keep(path: Path, text: str) -> None:
    """Have a private file hold the text; no file for none."""
    if not text:
        path.unlink(missing_ok=True)
    elif not path.exists() or path.read_text(encoding="utf-8") != text:
        private_folder(path.parent.parent)
        private_folder(path.parent)
        replace_text(path, text, mode=0o600)
