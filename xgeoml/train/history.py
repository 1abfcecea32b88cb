"""What happened in each epoch of a training, kept through interruptions."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import lightning.pytorch as pl

from xgeoml.train.module import Training

HISTORY_FILE = "history.json"


class History(pl.Callback):
    """A row for each epoch, written as it ends.

    Parameters
    ----------
    folder : Path
        Where `HISTORY_FILE` is written.
    """

    def __init__(self, folder: Path) -> None:
        self.path = folder / HISTORY_FILE
        self.rows: list[dict[str, float]] = []
        self.before, self.began = 0.0, time.monotonic()

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Start the clock."""
        self.began = time.monotonic()

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Add a row."""
        assert isinstance(pl_module, Training)
        row: dict[str, float] = {"epoch": trainer.current_epoch + 1, "step": trainer.global_step}
        row["train_loss"] = pl_module.take_train_loss()
        if "val_loss" in trainer.callback_metrics:
            row["val_loss"] = float(trainer.callback_metrics["val_loss"])
        row["learning_rate"] = trainer.optimizers[0].param_groups[0]["lr"]
        row["seconds"] = round(self.before + time.monotonic() - self.began, 3)
        self.rows.append(row)
        if trainer.logger is not None:
            shown = {k: v for k, v in row.items() if k in ("train_loss", "learning_rate")}
            trainer.logger.log_metrics(shown, trainer.global_step)
        if trainer.is_global_zero:
            held = self.path.with_suffix(".new")
            held.write_text(json.dumps(self.rows, indent=1))
            held.replace(self.path)

    def state_dict(self) -> dict[str, Any]:
        """Return the rows, for a checkpoint."""
        return {"rows": self.rows}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from the rows of a checkpoint."""
        self.rows = list(state_dict["rows"])
        self.before = self.rows[-1]["seconds"] if self.rows else 0.0
