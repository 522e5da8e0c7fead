"""Print where the project's pages are: JupyterLab, with its token, and the job dashboard, with its login."""

from env import PROJECT, read


def links(project=PROJECT):
    """(what, address) of each page, from .env."""
    env = read(project / ".env")
    return [
        ("JupyterLab", f"http://127.0.0.1:{env['JUPYTER_PORT']}/lab?token={env['JUPYTER_TOKEN']}"),
        ("Jobs", f"http://127.0.0.1:{env['MONITOR_PORT']}/  (user dsproj, password {env['MONITOR_PASSWORD']})"),
    ]


if __name__ == "__main__":
    try:
        for what, address in links():
            print(f"{what:<11} {address}")
    except KeyError as missing:
        raise SystemExit(f"{missing} is not in .env; complete it with: python3 local/env.py") from None
