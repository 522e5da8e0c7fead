"""Where a link leads: a page to the file that it shows; s3://, gs://, hf:// and kaggle:// to an http(s) address."""
# These stores speak plain HTTP, so a download from there is one as any other (download.py): it goes on where it broke off, and
# nothing is installed for it. docs/decisions/links-of-clouds.md says what was weighed.

from __future__ import annotations

import base64
import hashlib
import hmac
import os
import re
import time
import urllib.parse
from collections.abc import Mapping

from dsproj.errors import Problem
from dsproj.settings import PROJECT, read

# A page that shows a file, as people copy it from their browser, and the link of the file itself.
PAGES = {
    r"https://github\.com/([^/]+/[^/]+)/blob/(.+)": r"https://github.com/\1/raw/\2",
    r"https://(gitlab\.[^/]+/.+)/-/blob/(.+)": r"https://\1/-/raw/\2",
    r"https://docs\.google\.com/spreadsheets/d/([\w-]+)/[^#]*#gid=(\d+).*": (
        r"https://docs.google.com/spreadsheets/d/\1/export?format=csv&gid=\2"
    ),
    r"https://docs\.google\.com/spreadsheets/d/([\w-]+)(?:/(?:edit|view)?(?:\?.*)?)?": (
        r"https://docs.google.com/spreadsheets/d/\1/export?format=csv"
    ),
    r"https://drive\.google\.com/file/d/([\w-]+)(?:/.*)?": r"https://drive.google.com/uc?export=download&id=\1",
    r"https://www\.dropbox\.com/(.+[?&])dl=0(.*)": r"https://www.dropbox.com/\1dl=1\2",
    r"https://huggingface\.co/datasets/([^/]+/[^/]+)/(?:blob|resolve)/([^/]+)/([^?]+).*": r"hf://datasets/\1@\2/\3",
    r"https://www\.kaggle\.com/datasets/([^/?#]+/[^/?#]+)(?:/data)?\?(?:.*&)?select=([^&#]+).*": r"kaggle://\1/\2",
    r"https://www\.kaggle\.com/datasets/([^/?#]+/[^/?#]+)(?:[/?#].*)?": r"kaggle://\1",
}
# How a link of each store looks, and the variables of config/jupyter.env that say who asks.
LOOKS = {
    "s3": "s3://bucket/folder/crops.csv",
    "gs": "gs://bucket/folder/crops.csv",
    "hf": "hf://datasets/owner/name/crops.csv",
    "kaggle": "kaggle://owner/name/crops.csv",
}
CREDENTIALS = {
    "s3": "AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY",
    "gs": "GOOGLE_OAUTH_ACCESS_TOKEN",
    "hf": "HF_TOKEN",
    "kaggle": "KAGGLE_USERNAME, KAGGLE_KEY",
}


def file_link(link: str) -> str:
    """The link of the file that a page shows; any other as it is."""
    for page, file in PAGES.items():
        if found := re.fullmatch(page, link):
            made, key = found.expand(file), found[found.lastindex or 0]
            # A store's link has the file's name as it is, a page as an address has it.
            if plain := {"hf": urllib.parse.unquote, "kaggle": urllib.parse.unquote_plus}.get(scheme(made)):
                made = made[: -len(key)] + plain(key)
            return made
    return link


def scheme(link: str) -> str:
    """Of a link of one of the stores; "" of any other."""
    name = link.partition("://")[0]
    return name if name in LOOKS else ""


def address(link: str) -> tuple[str, dict[str, str]]:
    """(the http(s) address of a link's file, the headers that say who asks)."""
    name, (bucket, _, key) = scheme(link), link.partition("://")[2].partition("/")
    if not name:
        return link, {}
    if not bucket or not key:
        raise Problem(f"{link}: such a link looks like {LOOKS[name]}")
    given = {**os.environ, **read(PROJECT / "config" / "jupyter.env")}
    return {"s3": s3, "gs": gs, "hf": hf, "kaggle": kaggle}[name](bucket, key, {k: v for k, v in given.items() if v})


def asked_for(link: str) -> str:
    """What to add to a refusal: the variables with which the store would know who asks."""
    name = scheme(link)
    return f" (who may read it: {CREDENTIALS[name]} in config/jupyter.env)" if name else ""


def s3(bucket: str, key: str, known: Mapping[str, str]) -> tuple[str, dict[str, str]]:
    """Of Amazon, or of whatever AWS_ENDPOINT_URL names."""
    region = known.get("AWS_REGION") or known.get("AWS_DEFAULT_REGION", "")
    host = "s3" + f".{region}" * bool(region) + ".amazonaws.com"
    place = known.get("AWS_ENDPOINT_URL_S3") or known.get("AWS_ENDPOINT_URL")
    if place or "." in bucket:  # whose certificate is for one name below amazonaws.com alone
        url = f"{(place or f'https://{host}').rstrip('/')}/{bucket}/{quoted(key)}"
    else:
        url = f"https://{bucket}.{host}/{quoted(key)}"
    return url, signed(url, region or "us-east-1", known) if "AWS_ACCESS_KEY_ID" in known else {}


def signed(url: str, region: str, known: Mapping[str, str]) -> dict[str, str]:
    """The headers of a GET by AWS's signature, version 4."""
    parts, now = urllib.parse.urlsplit(url), time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
    nothing = hashlib.sha256(b"").hexdigest()
    headers = {"host": parts.netloc, "x-amz-content-sha256": nothing, "x-amz-date": now}
    if token := known.get("AWS_SESSION_TOKEN"):
        headers["x-amz-security-token"] = token
    names, scope = ";".join(sorted(headers)), f"{now[:8]}/{region}/s3/aws4_request"
    lines = ["GET", parts.path, "", *(f"{name}:{headers[name]}" for name in sorted(headers)), "", names, nothing]
    digest = hashlib.sha256("\n".join(lines).encode()).hexdigest()
    key = b"AWS4" + known.get("AWS_SECRET_ACCESS_KEY", "").encode()
    for part in scope.split("/"):
        key = hmac.digest(key, part.encode(), "sha256")
    signature = hmac.digest(key, "\n".join(["AWS4-HMAC-SHA256", now, scope, digest]).encode(), "sha256").hex()
    who = f"Credential={known['AWS_ACCESS_KEY_ID']}/{scope}"
    del headers["host"]  # urllib's own
    return {**headers, "Authorization": f"AWS4-HMAC-SHA256 {who}, SignedHeaders={names}, Signature={signature}"}


def gs(bucket: str, key: str, known: Mapping[str, str]) -> tuple[str, dict[str, str]]:
    """Of Google; the token is what `gcloud auth print-access-token` prints."""
    place = known.get("STORAGE_EMULATOR_HOST", "https://storage.googleapis.com").rstrip("/")
    place = place if "://" in place else f"http://{place}"
    return f"{place}/{bucket}/{quoted(key)}", bearer(known.get("GOOGLE_OAUTH_ACCESS_TOKEN"))


def hf(kind: str, key: str, known: Mapping[str, str]) -> tuple[str, dict[str, str]]:
    """Of Hugging Face: hf://datasets/owner/name@revision/file, as its own library and DuckDB write it."""
    found = re.fullmatch(r"([^/@]+/[^/@]+)(?:@([^/]+))?/(.+)", key)
    if kind != "datasets" or not found:
        raise Problem(f"hf://{kind}/{key}: such a link looks like {LOOKS['hf']}")
    name, revision, file = found.groups()
    revision = {"~parquet": "refs/convert/parquet", None: "main"}.get(revision, revision)
    place = known.get("HF_ENDPOINT", "https://huggingface.co").rstrip("/")
    url = f"{place}/datasets/{name}/resolve/{urllib.parse.quote(revision, safe='%')}/{quoted(file)}"
    return url, bearer(known.get("HF_TOKEN"))


def kaggle(owner: str, key: str, known: Mapping[str, str]) -> tuple[str, dict[str, str]]:
    """Of Kaggle; without a file the whole data set, a zip archive."""
    place = known.get("KAGGLE_API_ENDPOINT", "https://www.kaggle.com").rstrip("/")
    url = f"{place}/api/v1/datasets/download/{owner}/{quoted(key)}"
    if "KAGGLE_USERNAME" not in known:
        return url, bearer(known.get("KAGGLE_API_TOKEN"))
    pair = f"{known['KAGGLE_USERNAME']}:{known.get('KAGGLE_KEY', '')}"
    return url, {"Authorization": f"Basic {base64.b64encode(pair.encode()).decode()}"}


def bearer(token: str | None) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"} if token else {}


def quoted(key: str) -> str:
    """A key as an address has it. It is plain in the link, so that %20 in it is no blank: a key may have a % in its name."""
    return urllib.parse.quote(key, safe="/-_.~")
