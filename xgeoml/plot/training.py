"""Pictures of a training."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from xgeoml.exceptions import InputError
from xgeoml.plot._figures import picture_class

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def loss_curve(history: Sequence[Mapping[str, float]], title: str) -> Figure:
    """Draw training and validation loss against the epochs.

    Parameters
    ----------
    history : sequence of mapping
        As `xgeoml.Model.history`.
    title : str

    Returns
    -------
    matplotlib.figure.Figure

    Raises
    ------
    MissingExtraError
        Without matplotlib.
    InputError
        If the history is empty.
    """
    picture = picture_class()
    if not history:
        raise InputError(f"{title} has no record of its training; expected a model that fit() made")
    figure = picture(figsize=(7, 4), layout="constrained")
    panel = figure.subplots()
    from matplotlib.ticker import MaxNLocator

    for key, label, colour in (
        ("train_loss", "training", "#888888"),
        ("val_loss", "validation", "#b2182b"),
    ):
        there = [row for row in history if key in row]
        if there:
            epochs, losses = zip(*((row["epoch"], row[key]) for row in there), strict=True)
            panel.plot(epochs, losses, ".-", ms=4, label=label, color=colour)
    if "val_loss" in history[-1]:
        best = min((row for row in history if "val_loss" in row), key=lambda row: row["val_loss"])
        panel.plot(best["epoch"], best["val_loss"], "o", color="#b2182b", label="kept")
    panel.set(xlabel="epoch", ylabel="loss", title=title)
    panel.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    panel.legend(frameon=False)
    return figure
