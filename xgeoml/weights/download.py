"""A file from the network: mirrors in turn, each for a limited time; its hash always checked."""

from __future__ import annotations

import hashlib
import os
import re
import threading
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from types import ModuleType
from typing import IO, Any, TypeVar
from urllib.parse import urlsplit

from xgeoml.exceptions import MissingExtraError, WeightsError
from xgeoml.options import Progress, get_options, shows_progress
from xgeoml.spec import WeightsRef
from xgeoml.weights.files import writing

Result = TypeVar("Result")

# A mirror is given up when in so many seconds fewer bytes a second came than a poor line carries.
PATIENCE = 15.0
SLOWEST = 10_000
_TO_CONNECT = 10.0
_CHUNK = 2**14

_HUB = re.compile(r"hf://(?P<repo>[\w.-]+/[\w.-]+)/(?P<file>[^@]+)(@(?P<revision>[^@]+))?")


class MirrorError(Exception):
    """A mirror did not deliver the file; the next may."""


def is_offline() -> bool:
    """Whether ``XGEOML_OFFLINE`` forbids the network."""
    return os.environ.get("XGEOML_OFFLINE", "").strip().lower() not in ("", "0", "false", "no")


def download(
    urls: Iterable[str], ref: WeightsRef, path: Path, progress: Progress | None
) -> list[str]:
    """Write the file of `ref` to `path`, from the first of `urls` that has it.

    Returns
    -------
    list of str
        Empty if it was delivered; otherwise why not, a line for each address.

    Raises
    ------
    WeightsError
        If the file cannot be written.
    MissingExtraError
        If an address needs a package that is not installed.
    """
    reasons = []
    for url in urls:
        try:
            _from_mirror(url, ref, path, progress)
        except MirrorError as error:
            reasons.append(f"{shown(url)}: {error}")
        else:
            return []
    return reasons


def within(
    action: Callable[[], Result],
    received: Callable[[], int] = lambda: 0,
    tell: Callable[[int], object] = lambda _: None,
) -> Result:
    """Return what `action` returns, or give it up when it has come to a stop.

    It runs in a thread of its own: the time limits of sockets begin anew with every byte, and
    know nothing of the look-up of names, so that a server could hold the caller for ever.

    Parameters
    ----------
    action : callable
        What asks the network.
    received : callable
        Returns how many bytes came so far.
    tell : callable
        Is told so several times a second.

    Raises
    ------
    TimeoutError
        If fewer than `SLOWEST` bytes a second came over `PATIENCE` seconds.
    """
    done: list[Result] = []
    failed: list[BaseException] = []

    def run() -> None:
        try:
            done.append(action())
        except BaseException as error:
            failed.append(error)

    thread = threading.Thread(target=run, name="xgeoml-download", daemon=True)
    thread.start()
    before, since = 0, time.monotonic()
    while True:
        thread.join(0.1)
        tell(received())
        if not thread.is_alive():
            break
        if time.monotonic() - since > PATIENCE:
            came = received() - before
            if came < SLOWEST * PATIENCE:
                raise TimeoutError(f"given up: {came} bytes in {PATIENCE:g} seconds")
            before, since = received(), time.monotonic()
    if failed:
        raise failed[0]
    return done[0]


def shown(weights: str | os.PathLike[str]) -> str:
    """Return a text fit for a history: an address without what may be a password."""
    text = os.fspath(weights)
    if not re.match(r"https?://", text, re.IGNORECASE):
        return text
    parts = urlsplit(text)
    return parts._replace(netloc=parts.netloc.rpartition("@")[2], query="").geturl()


class _Sink:
    """What a downloader writes to: counts, hashes, and tells a full disk from a failing network."""

    def __init__(self, file: IO[bytes], largest: int | None) -> None:
        self._file = file
        self._largest = largest
        self._hash = hashlib.sha256()
        self._lock = threading.Lock()
        self._open = True
        self.received = 0
        self.unwritable: OSError | None = None

    @property
    def sha256(self) -> str:
        return self._hash.hexdigest()

    def write(self, chunk: bytes) -> None:
        with self._lock:
            if not self._open:
                raise MirrorError("given up")
            if self._largest is not None and self.received + len(chunk) > self._largest:
                raise MirrorError(f"more than the {self._largest} bytes expected")
            try:
                self._file.write(chunk)
            except OSError as error:
                self.unwritable = error
                raise
            self._hash.update(chunk)
            self.received += len(chunk)

    def flush(self) -> None:
        """Do nothing: pooch flushes after each chunk, closing the file does it once."""

    def close(self) -> None:
        """Keep a thread that was given up from writing on."""
        with self._lock:
            self._open = False


def _from_mirror(url: str, ref: WeightsRef, path: Path, progress: Progress | None) -> None:
    with writing(path) as file, _bar(ref, progress) as bar:
        sink = _Sink(file, ref.size)
        try:
            within(
                lambda: _transfer(url, sink),
                lambda: sink.received,
                lambda received: bar.update(received - bar.n),
            )
        except (MissingExtraError, MirrorError):
            raise
        except Exception as error:  # of any kind: requests, pooch and the hub have dozens
            if sink.unwritable is not None:
                raise sink.unwritable from error
            raise MirrorError(_reason(error)) from error
        finally:
            sink.close()
        if ref.size is not None and sink.received != ref.size:
            raise MirrorError(f"cut off: {sink.received} of {ref.size} bytes")
        if sink.sha256 != ref.sha256:
            raise MirrorError(f"another file: its sha256 is {sink.sha256}, expected {ref.sha256}")


def _transfer(url: str, sink: _Sink) -> None:
    import pooch

    headers = {"Accept-Encoding": "identity", "User-Agent": "xgeoml"}
    answers: list[Any] = []
    settings: dict[str, Any] = {
        "chunk_size": _CHUNK,
        "timeout": (_TO_CONNECT, PATIENCE),
        "hooks": {"response": lambda answer, *_, **__: answers.append(answer)},
    }
    if url.startswith("hf://"):
        hub = hub_package()
        repo, file, revision = hub_file(url)
        headers |= hub.utils.build_hf_headers(library_name="xgeoml")
        url = hub.hf_hub_url(
            repo, file, revision=revision, endpoint=os.environ.get("HF_ENDPOINT") or None
        )
    if not re.match(r"https?://|doi:", url, re.IGNORECASE):
        raise MirrorError(
            "expected https://, http://, doi: or hf://; folders go into XGEOML_WEIGHTS_PATH"
        )
    if url.startswith("doi:"):
        downloader = pooch.DOIDownloader(**settings)
    else:
        downloader = pooch.HTTPDownloader(headers=headers, **settings)
    try:
        downloader(url, sink, None)
    finally:
        for answer in answers:  # pooch leaves them open when it fails
            answer.close()


def _bar(ref: WeightsRef, progress: Progress | None) -> Any:
    from tqdm import tqdm

    wanted = shows_progress(get_options(progress=progress).progress)
    return tqdm(
        desc=ref.file, total=ref.size, unit="B", unit_scale=True, delay=1.0, disable=not wanted
    )


def _reason(error: BaseException) -> str:
    """Return why a download failed in a line: the cause that all others wrap says it best."""
    while (deeper := error.__cause__ or error.__context__) is not None:
        error = deeper
    text = getattr(error, "strerror", None) or str(error) or type(error).__name__
    # The address is told already, without the password that may be in it.
    return " ".join(str(text).partition(" for url: ")[0].split())[:300]


def hub_file(url: str) -> tuple[str, str, str | None]:
    """Return repository, file and revision of ``hf://owner/repo/file[@revision]``.

    Raises
    ------
    WeightsError
        If it is not of this form.
    """
    parts = _HUB.fullmatch(url)
    if parts is None or not parts["file"].endswith(".safetensors"):
        raise WeightsError(
            f"weights {url!r}: expected hf://owner/repo/file.safetensors or "
            "hf://owner/repo/file.safetensors@revision"
        )
    return parts["repo"], parts["file"], parts["revision"]


def hub_package() -> ModuleType:
    """Return the module huggingface_hub.

    Raises
    ------
    MissingExtraError
        If it is not installed.
    """
    try:
        import huggingface_hub
    except ImportError as error:
        raise MissingExtraError("hf", "a weight at hf://", "huggingface_hub") from error
    return huggingface_hub
