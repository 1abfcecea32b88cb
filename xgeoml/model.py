"""A trained model: its description, its weights file, its card, and how it was trained."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from xgeoml import markup
from xgeoml.rows import Rows
from xgeoml.spec import ModelSpec
from xgeoml.weights.card import Card
from xgeoml.weights.files import copy_weights, read_card, read_history, read_spec
from xgeoml.weights.store import locate

if TYPE_CHECKING:
    from matplotlib.figure import Figure


# How the names of the folders begin that last as long as the process.
TEMPORARY = "xgeoml-fit-"


@dataclass(frozen=True, repr=False)
class Model(Rows):
    """A model with its weights: what `fit` returns and `load` reads.

    Goes wherever a model's name goes: ``ds.geoml.fill_gaps(model=own)``.

    Parameters
    ----------
    path : Path
        The weights file, all that there is of the model.

    Attributes
    ----------
    spec : ModelSpec
        What the model is.
    card : Card or None
        What it was trained on, and its skill beside the baselines.
    history : tuple of dict
        A row for each epoch of its training: losses, learning rate, seconds; first, as epoch 0, the
        validation loss of what it began with. May be empty.
    """

    path: Path
    spec: ModelSpec = field(init=False)
    card: Card | None = field(init=False)
    history: tuple[dict[str, float], ...] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        """Read what the file says of itself."""
        path = Path(self.path).resolve()
        object.__setattr__(self, "path", path)
        object.__setattr__(self, "spec", read_spec(path))
        object.__setattr__(self, "card", read_card(path))
        object.__setattr__(self, "history", read_history(path))

    def __hash__(self) -> int:
        """Hash by the file's path."""
        return hash(self.path)

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Write the model to one safetensors file, which `xgeoml.load` reads.

        Parameters
        ----------
        path : str or path
            Ending in ``.safetensors``; a file there is replaced.

        Returns
        -------
        Path
            Of the file.

        Raises
        ------
        WeightsError
            If it cannot be written, or this model's own file is gone.
        """
        return copy_weights(self.path, path)

    def plot_loss(self) -> Figure:
        """Draw training and validation loss against the epochs.

        Returns
        -------
        matplotlib.figure.Figure

        Raises
        ------
        InputError
            If the file has no record of its training.
        MissingExtraError
            Without matplotlib.
        """
        from xgeoml.plot import loss_curve

        return loss_curve(self.history, self.spec.key)

    def __repr__(self) -> str:
        """Return the model in a few lines."""
        card = [] if self.card is None else repr(self.card).splitlines()[1:]
        return "\n".join([super().__repr__(), *card])

    def _repr_html_(self) -> str:
        """Return the model for a notebook."""
        card = "" if self.card is None else self.card.to_markup()
        title = f"{self.spec.key}, {self.spec.task}"
        return markup.page(title, markup.labelled(self._rows()), card, kind="xgeoml model")

    def _title(self) -> str:
        return f"model: {self.spec.key}, {self.spec.task}"

    def _rows(self) -> list[tuple[str, str]]:
        rows = [("file", str(self.path))]
        if self.path.parent.name.startswith(TEMPORARY):
            rows.append(
                ("", "temporary, gone when Python ends: save it, own.save('own.safetensors')")
            )
        if self.history:
            last = self.history[-1]
            seconds = f"{last['seconds']:.0f} s"
            rows.append(
                ("trained", f"{last['epoch']:.0f} epochs, {last['step']:.0f} steps, {seconds}")
            )
        return rows


def load(path: str | os.PathLike[str]) -> Model:
    """Return the model of a weights file.

    Parameters
    ----------
    path : str or path
        A file that `Model.save` wrote. Also the name of a shipped weight (``"grace_tf@1.0"``) or an
        address, as for ``weights=`` of `xgeoml.fill_gaps`.

    Returns
    -------
    Model

    Raises
    ------
    WeightsError
        If there is no such file, or it is no weights file.

    Examples
    --------
    >>> import xgeoml
    >>> xgeoml.load("grace_tf").spec.task
    'fill_gaps'
    """
    return Model(locate(path))
