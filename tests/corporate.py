"""A company's network on this machine: a proxy that asks for a password, and behind it alone the host data.corp.test.

That host, whose name only the proxy knows, has a certificate of a private authority, a file of data, and a package index.
"""

import contextlib
import hashlib
import io
import ssl
import zipfile
from pathlib import Path

import proxy
import trustme
from loopback import Handler, serving
from proxy.http.proxy import HttpProxyBasePlugin

HOST, LOGIN = "data.corp.test", "ada:s3cret"
CROPS = b"id,crop\n1,rye\n2,oats\n"
WHEEL = "corp_only-1.0-py3-none-any.whl"


class Resolver(HttpProxyBasePlugin):
    """Knows the one host; all others as ever."""

    def resolve_dns(self, host, port):
        return ("127.0.0.1", None) if host == HOST else (None, None)


class Inner(Handler):
    """data.corp.test: /crops.csv, and /simple/ with the package corp-only."""

    def do_GET(self):
        page = f'<a href="/{WHEEL}#sha256={hashlib.sha256(wheel()).hexdigest()}">{WHEEL}</a>'.encode()
        known = {"/crops.csv": CROPS, "/simple/corp-only/": page, f"/{WHEEL}": wheel()}
        if self.path not in known:
            return self.send_error(404)
        self.send_response(200)
        self.send_header("Content-Type", "text/html" if self.path.endswith("/") else "application/octet-stream")
        self.send_header("Content-Length", str(len(known[self.path])))
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(known[self.path])

    do_HEAD = do_GET


def wheel():
    """The package corp-only, version 1.0: the same bytes each time."""
    files = {"corp_only.py": "WHERE = 'the private index'\n"}
    info = "corp_only-1.0.dist-info"
    files |= {f"{info}/METADATA": "Metadata-Version: 2.1\nName: corp-only\nVersion: 1.0\n"}
    files |= {f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n"}
    files |= {f"{info}/RECORD": "".join(f"{name},,\n" for name in [*files, f"{info}/RECORD"])}
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for name, text in files.items():
            archive.writestr(zipfile.ZipInfo(name), text)
    return packed.getvalue()


class Network:
    """What an employee is told. port: the proxy's; place: https://data.corp.test:…; bundle: the authority's certificate."""

    def __init__(self, login, port, place, bundle):
        self.login, self.port, self.place, self.bundle = login, port, place, bundle

    def env(self, address="127.0.0.1"):
        """The lines for .env, for who sees this machine at `address`."""
        through = f"http://{self.login}@{address}:{self.port}".replace("//@", "//")
        lines = {"HTTP_PROXY": through, "HTTPS_PROXY": through, "CA_BUNDLE": self.bundle}
        lines["PIP_EXTRA_INDEX_URL"] = f"{self.place}/simple/"
        return "".join(f"{name}={value}\n" for name, value in lines.items())


@contextlib.contextmanager
def network(folder: Path, login=LOGIN):
    """The proxy, which asks for `login` unless that is "", and the host behind it."""
    authority = trustme.CA()
    bundle = folder / "company.pem"
    authority.cert_pem.write_to_path(bundle)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(HOST).configure_cert(context)
    options = ["--hostname=0.0.0.0", "--port=0", "--num-acceptors=1", "--threaded", "--log-level=c"]
    options += [f"--basic-auth={login}"] if login else []
    with serving(Inner) as server, proxy.Proxy(options, plugins=[Resolver]) as running:
        server.socket = context.wrap_socket(server.socket, server_side=True)
        yield Network(login, running.flags.port, f"https://{HOST}:{server.server_port}", bundle)
