"""A training as a folder: all that any process needs to begin it, or to go on with it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from xgeoml.exceptions import InputError
from xgeoml.spec import ModelSpec
from xgeoml.train.settings import Settings

JOB_FILE, START_FILE, MODEL_FILE = "job.json", "start.safetensors", "model.safetensors"
LAST, BEST = "last.safetensors", "best.safetensors"
# What may differ between a run and the run that goes on with it.
_MAY_DIFFER = {"progress", "max_time", "devices", "nodes", "device", "precision", "patience"}


@dataclass(frozen=True)
class Job:
    """What is trained, and how.

    Attributes
    ----------
    spec : ModelSpec
        The network.
    settings : Settings
    data : str
        Hash of the data.
    names : tuple of str
        Of the variables, in the order of their patterns.
    shares : tuple of float
        How often each variable is drawn.
    channels : int
        Channels of the network's input, all covariates included.
    start : str
        Hash of the weights that training begins from; empty: from scratch.
    """

    spec: ModelSpec
    settings: Settings
    data: str
    names: tuple[str, ...]
    shares: tuple[float, ...]
    channels: int
    start: str = ""

    def write(self, folder: Path) -> None:
        """Write the job into its folder, where it appears whole or not at all."""
        raw = {
            "spec": self.spec.to_json(),
            "settings": self.settings.to_json(),
            "data": self.data,
            "names": self.names,
            "shares": self.shares,
            "channels": self.channels,
            "start": self.start,
        }
        folder.mkdir(parents=True, exist_ok=True)
        held = folder / (JOB_FILE + ".new")
        held.write_text(json.dumps(raw, indent=1))
        held.replace(folder / JOB_FILE)

    @classmethod
    def read(cls, folder: Path) -> Job:
        """Return the job of a folder.

        Raises
        ------
        InputError
            If there is none.
        """
        try:
            raw = json.loads((folder / JOB_FILE).read_text())
            return cls(
                ModelSpec.from_json(raw["spec"]),
                Settings.from_json(raw["settings"]),
                raw["data"],
                tuple(raw["names"]),
                tuple(raw["shares"]),
                raw["channels"],
                raw["start"],
            )
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise InputError(
                f"folder {folder} holds no training that can be gone on with ({error}); expected "
                f"{JOB_FILE}, which fit(..., logdir={str(folder)!r}) writes"
            ) from error

    def differences(self, other: Job) -> list[str]:
        """Return in what, of all that decides the result, another job differs from this one."""
        found = []
        if self.spec != other.spec:
            found.append(f"model {self.spec.key} and its options")
        found += [
            name
            for name in ("data", "names", "shares", "start")
            if getattr(self, name) != getattr(other, name)
        ]
        ours, theirs = (json.loads(j.settings.to_json()) for j in (self, other))
        found += [
            f"{k} ({ours[k]!r}, now {theirs[k]!r})"
            for k in ours
            if k not in _MAY_DIFFER and ours[k] != theirs[k]
        ]
        return found


def check_fresh(folder: Path) -> None:
    """Raise if a folder holds a training already.

    Raises
    ------
    InputError
    """
    if (folder / JOB_FILE).exists() or (folder / LAST).exists():
        raise InputError(
            f"logdir={str(folder)!r} holds a training already: go on with it, "
            f"resume={str(folder)!r}, or name another folder"
        )


def check_same(before: Job, now: Job, folder: Path) -> None:
    """Raise if a job cannot go on from another.

    Raises
    ------
    InputError
    """
    found: Sequence[str] = before.differences(now)
    if found:
        raise InputError(
            f"the training in {folder} differs in {'; '.join(found)}: give the same data and "
            "arguments, or begin another with logdir=. To train on for longer, begin with what it "
            f"gave: start={str(folder / MODEL_FILE)!r}"
        )
