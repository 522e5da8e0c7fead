"""Proxies, certificates and package indexes: where they are taken from, what becomes of them, and what is said where one is wrong.

That they reach running kernels, jobs and images is in test_stack.py.
"""

import os
import sys

import corporate
import pytest
from conftest import command

FETCH = "import sys; from pathlib import Path; from dsproj.host import download, network; network.apply()\n"
FETCH += "download.fetch([sys.argv[1]], Path('data/crops.csv'))"
WRITE = "from dsproj.host import network; network.apply(); print(*network.notes(), sep='\\n')"
NAMES = (*"HTTP_PROXY HTTPS_PROXY ALL_PROXY NO_PROXY CA_BUNDLE SSL_CERT_FILE REQUESTS_CA_BUNDLE PIP_CERT".split(),)


def run(project, code, *words, **variables):
    """Python of the machine room, in a shell that knows nothing of a proxy or certificate but `variables`."""
    kept = {name: value for name, value in os.environ.items() if name.upper() not in NAMES}
    kept = {name: value for name, value in kept.items() if not name.startswith("PIP_")}
    environment = kept | {"PYTHONPATH": str(project / ".dsproj"), "HOME": str(project.parent)} | variables
    return command(sys.executable, "-c", code, *words, cwd=project, env=environment)


@pytest.mark.parametrize("login", [corporate.LOGIN, ""], ids=["password", "open"])
def test_a_download_goes_through_the_proxy_and_trusts_the_companys_certificates(render, tmp_path, login):
    project = render()
    with corporate.network(tmp_path, login) as network:
        link, lines = f"{network.place}/crops.csv", network.env()
        for wrong, said in [
            ("", "data.corp.test"),  # no such host, without the proxy
            (
                lines.replace("CA_BUNDLE", "#"),
                "not trusted (unable to get local issuer certificate); to trust a company's",
            ),
            *([(lines.replace("s3cret", "no"), "the proxy asks for a password: HTTPS_PROXY=")] if login else []),
        ]:
            (project / ".env").write_text(wrong)
            done = run(project, FETCH, link)
            assert done.returncode and said in done.stderr.splitlines()[-1], done.printed
        (project / ".env").write_text(lines)
        assert run(project, FETCH, link).printed == ""
        assert (project / "data/crops.csv").read_bytes() == corporate.CROPS
        # The calling shell counts more than .env, and may write a name small.
        (project / "data/crops.csv").unlink()
        (project / ".env").write_text(lines.replace("HTTPS_PROXY=http://", "HTTPS_PROXY=http://nowhere.test:1/"))
        through = dict(line.split("=", 1) for line in lines.splitlines())["HTTPS_PROXY"]
        assert run(project, FETCH, link, https_proxy=through).printed == ""


def test_containers_and_builds_have_it_from_private_files_that_go_when_it_goes(render, tmp_path):
    project = render()
    folder = project / ".local/network"
    assert run(project, WRITE).printed == "\n" and not folder.exists()
    (tmp_path / "pip.conf").write_text(
        "[global]\nindex-url = https://packages.corp.test/simple\nextra-index-url = file:///x\n"
    )
    (tmp_path / "own.pem").write_text("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")
    (project / ".env").write_text(
        f"HTTP_PROXY=http://ada:it's@127.0.0.1:1\nNO_PROXY=.corp.test\nCA_BUNDLE={tmp_path}/own.pem\n"
    )
    done = run(project, WRITE, PIP_CONFIG_FILE=str(tmp_path / "pip.conf"))
    assert done.printed.startswith("HTTP_PROXY is this machine's own address, which containers do not reach"), (
        done.printed
    )
    assert {path.name: path.stat().st_mode & 0o777 for path in folder.iterdir()} == dict.fromkeys(
        ["build.env", "ca-bundle.pem", "container.env"], 0o600
    )
    inside = (folder / "container.env").read_text()
    for name in ("NO_PROXY", "no_proxy"):
        assert f"{name}='localhost,127.0.0.1,::1,this_postgres,this_redis,this_mongo,this_jupyter" in inside
    assert ",.corp.test'" in inside and "http_proxy='http://ada:it%27s@127.0.0.1:1'" in inside
    assert "PIP_INDEX_URL='https://packages.corp.test/simple'" in inside and "PIP_EXTRA" not in inside
    assert "SSL_CERT_FILE='/home/jovyan/.local/network/ca-bundle.pem'" in inside
    assert "export PIP_CERT=/run/secrets/certificates\n" in (folder / "build.env").read_text()
    assert (folder / "ca-bundle.pem").read_text().count("BEGIN CERTIFICATE") > 1  # the public ones, too
    (project / ".env").write_text("")
    run(project, WRITE)
    assert not list(folder.glob("*.env"))


@pytest.mark.parametrize("text, said", [(None, "there is no such file"), ("no pem", "there is no certificate in it")])
def test_a_bundle_without_certificates_is_said(render, tmp_path, text, said):
    project = render()
    if text:
        (tmp_path / "own.pem").write_text(text)
    code = "from dsproj.host import network; network.apply(); network.check()"
    done = run(project, code, CA_BUNDLE=str(tmp_path / "own.pem"))
    assert f"CA_BUNDLE={tmp_path}/own.pem: {said}" in done.printed
