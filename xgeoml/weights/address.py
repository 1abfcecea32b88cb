"""What a user types for a weight: a name, a path, or an address on the network with its hash."""

from __future__ import annotations

import os
import re
from functools import lru_cache
from pathlib import PurePosixPath
from typing import Literal
from urllib.parse import unquote, urlsplit

from xgeoml.exceptions import OfflineError, WeightsError
from xgeoml.spec import WeightsRef
from xgeoml.weights.download import hub_file, hub_package, is_offline, shown, within

_HASH = re.compile(r"sha256=([0-9a-fA-F]{64})")
_EXAMPLES = (
    "https://host/x.safetensors#sha256=<64 digits>, "
    "doi:10.5281/zenodo.123/x.safetensors#sha256=<64 digits> or hf://owner/repo/x.safetensors"
)


def kind_of(weights: str | os.PathLike[str]) -> Literal["name", "path", "address"]:
    """Return what a user's text is; a path object is a path.

    Raises
    ------
    WeightsError
        If it is an address that cannot be fetched from, such as ``ftp://``.
    """
    if not isinstance(weights, str):
        return "path"
    if re.match(r"(https?://|hf://|doi:)", weights, re.IGNORECASE):
        return "address"
    if re.match(r"\w+://", weights):
        raise WeightsError(f"weights {shown(weights)!r}: expected a path, or {_EXAMPLES}")
    if weights.endswith(".safetensors") or "/" in weights or os.sep in weights:
        return "path"
    return "name"


def reference(address: str) -> WeightsRef:
    """Return the file and hash that an address means.

    Only ``hf://`` without a hash asks the network: the hub knows the hash of a large file.

    Raises
    ------
    WeightsError
        If the hash is missing, or the address makes no sense.
    OfflineError, MissingExtraError
        If the hub must be asked, and cannot be.
    """
    scheme, _, rest = address.partition(":")
    url, _, fragment = f"{scheme.lower()}:{rest}".partition("#")
    found = _HASH.fullmatch(fragment)
    if fragment and not found:
        raise WeightsError(
            f"weights {shown(address)!r}: the part after '#' is no hash; expected "
            f"{shown(url)}#sha256=<64 hexadecimal digits>"
        )
    if url.startswith("hf://"):
        return _on_hub(url, found[1].lower() if found else "")
    if not found:
        raise WeightsError(
            f"weights {shown(address)!r} come without a hash, and a file from the network is used "
            f"only if it is the one that you mean. Type: {shown(url)}#sha256=<64 hexadecimal "
            "digits>, which its makers publish, or `sha256sum` prints of a copy that you trust"
        )
    return _checked(address, WeightsRef(_file_name(url), found[1].lower(), urls=(url,)))


def _checked(address: str, ref: WeightsRef) -> WeightsRef:
    if problems := ref.problems():
        raise WeightsError(
            f"weights {shown(address)!r}: {'; '.join(problems)}. Expected {_EXAMPLES}"
        )
    return ref


def _file_name(url: str) -> str:
    """Return the last part of the path, in characters that every file system takes."""
    path = url if url.startswith("doi:") else urlsplit(url).path
    return re.sub(r"[^\w.+-]", "_", PurePosixPath(unquote(path)).name)


def _on_hub(url: str, sha256: str) -> WeightsRef:
    repo, file, revision = hub_file(url)
    if sha256:
        return _checked(url, WeightsRef(_file_name(url.partition("@")[0]), sha256, urls=(url,)))
    if is_offline():
        raise OfflineError(
            f"the hash of {url} is known to the hub alone, and XGEOML_OFFLINE is set. Type: "
            f"{url}#sha256=<64 hexadecimal digits>"
        )
    return _asked(repo, file, revision, os.environ.get("HF_ENDPOINT"))


@lru_cache(maxsize=64)
def _asked(repo: str, file: str, revision: str | None, endpoint: str | None) -> WeightsRef:
    """Ask the hub for the hash, once a process, so that one run uses one file."""
    hub = hub_package()
    address = f"hf://{repo}/{file}" + (f"@{revision}" if revision else "")
    try:
        url = hub.hf_hub_url(repo, file, revision=revision, endpoint=endpoint)
        found = within(lambda: hub.get_hf_file_metadata(url))
    except Exception as error:  # of any kind: the hub's package has dozens
        raise WeightsError(
            f"the hub was asked for {address} and did not answer as expected: {error!s:.300}. "
            f"With {address}#sha256=<64 hexadecimal digits> it need not be asked for the hash"
        ) from error
    if not re.fullmatch(r"[0-9a-f]{64}", found.etag or ""):
        raise WeightsError(
            f"the hub knows no sha256 of {address} (it is a small file, not kept by LFS). Type: "
            f"{address}#sha256=<64 hexadecimal digits>"
        )
    exact = f"hf://{repo}/{file}@{found.commit_hash or revision or 'main'}"
    name = _file_name(f"hf://{repo}/{file}")
    return _checked(address, WeightsRef(name, found.etag, found.size or None, urls=(exact,)))
