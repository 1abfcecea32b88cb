"""A transformer on single time series that corrects what classical models estimate.

After Wang and Zhang (2024), Remote Sensing of Environment 315, 114465, with the log-sparse
attention of Li et al. (2019), Advances in Neural Information Processing Systems 32: a wide
convolution with a tanh gives each step its context, attention carries it across the gap, a linear
layer reads it out.
"""

from __future__ import annotations

import math
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

# Kept from features without bound: ten spreads off the base say no more than this.
_LARGEST_INNOVATION = 10.0
# A correction beyond four spreads of the base, or a spread twenty times larger, is never believed.
_LARGEST_CORRECTION, _LARGEST_LOG_RATIO = 4.0, 3.0
# Shares of other bases are learnt faster than corrections: there is less in them to go wrong.
_SHARE_GAIN = 3.0
# Log-sparse attention also sees this many steps on either side.
_LOCAL_STEPS = 6
# Cycles a year that positions turn with: the year itself, then from four months to a century.
_FASTEST, _SLOWEST = 3.0, 0.01
_LONGEST_WAIT = 10.0  # years


class GraceTF(nn.Module):
    """Correct the base estimates of a block of time series.

    Parameters
    ----------
    bases : int
        Number of base models among the channels. The first is the one corrected.
    d_model, layers, heads, ffn : int
        Width, depth, attention heads and hidden width of the feed-forward parts.
    kernel : int
        Steps that the context convolution sees.
    driver_width, driver_kernel : int
        Filters that every driver passes through, and their length in steps. Width 0: no drivers.
    attention : {"full", "logsparse"}
        `logsparse`: step i sees i, i - 1, i - 2, i - 4, ..., its near neighbours, and the same
        after it unless `causal`.
    causal : bool
        Nothing in the input after a step changes the output there. The estimates among the input
        are another matter: those of a smoother know what comes after.
    dropout : float
        Share of activations dropped in training.

    Notes
    -----
    Positions are real stamps: queries and keys turn with the decimal year (rotary encoding), so
    that irregular steps and any length need no table. All drivers pass through the same filters
    and are summed: their order and number are free. The last layer gives the share of each other
    base, a correction and a change of spread; it starts at zero, so an untrained network returns
    the first base's estimate and spread.
    """

    def __init__(
        self,
        bases: int = 2,
        d_model: int = 64,
        layers: int = 3,
        heads: int = 2,
        ffn: int = 192,
        kernel: int = 25,
        driver_width: int = 0,
        driver_kernel: int = 25,
        attention: Literal["full", "logsparse"] = "full",
        causal: bool = False,
        dropout: float = 0.1,
    ) -> None:
        super().__init__()
        if bases < 1:
            raise ValueError(f"bases={bases}: expected at least 1")
        if d_model % (2 * heads):
            raise ValueError(f"d_model={d_model}: expected a multiple of 2 * heads = {2 * heads}")
        if attention not in ("full", "logsparse"):
            raise ValueError(f"attention={attention!r}: expected 'full' or 'logsparse'")
        self.bases, self.heads, self.attention, self.causal = bases, heads, attention, causal
        self.context = _Conv(13 - causal + 4 * (bases - 1), d_model, kernel, causal)
        self.drivers = (
            _Drivers(driver_width, driver_kernel, d_model, causal) if driver_width else None
        )
        self.blocks = nn.ModuleList(_Block(d_model, heads, ffn, dropout) for _ in range(layers))
        self.norm = nn.LayerNorm(d_model)
        self.head = nn.Linear(d_model, 1 + bases)
        nn.init.zeros_(self.head.weight)
        nn.init.zeros_(self.head.bias)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor) -> Tensor:
        """Return the correction of the first base estimate and the spread.

        Parameters
        ----------
        x : Tensor, (batch, channel, time)
            Value (0 where missing), validity (0 or 1) and decimal years about the record's middle;
            then for each base its estimate and the logarithm of its spread; then any number of
            drivers. All but validity and years in scaled units.

        Returns
        -------
        Tensor, (batch, 2, time)
            What to add to the first base estimate, and the logarithm of the spread of the sum,
            in scaled units.
        """
        first_driver = 3 + 2 * self.bases
        if x.shape[1] < first_driver:
            raise ValueError(
                f"got {x.shape[1]} channels, expected at least {first_driver}: value, validity, "
                f"years, then estimate and log spread of {self.bases} base model(s)"
            )
        if x.shape[1] > first_driver and self.drivers is None:
            raise ValueError(
                f"got {x.shape[1] - first_driver} drivers, expected none: driver_width=0"
            )
        features = self._features(x)
        years, log_spread = x[:, 2], x[:, 4]
        z = torch.tanh(self.context(features))
        if self.drivers is not None and x.shape[1] > first_driver:
            z = z + self.drivers(x[:, first_driver:])
        z = self.dropout(z.transpose(1, 2))
        turn = _rotation(years, z.shape[-1] // self.heads)
        mask = _mask(x.shape[-1], self.attention, self.causal, x.device)
        for block in self.blocks:
            z = block(z, turn, mask)
        correction, log_ratio, *shares = self.head(self.norm(z)).float().unbind(-1)
        correction = log_spread.exp() * _softly(correction, _LARGEST_CORRECTION)
        for i, share in enumerate(shares, 1):
            share = _softly(_SHARE_GAIN * share, 1.0)
            correction = correction + share * (x[:, 3 + 2 * i] - x[:, 3])
        log_spread = log_spread + _softly(log_ratio, _LARGEST_LOG_RATIO)
        return torch.stack([correction, log_spread], dim=1)

    def _features(self, x: Tensor) -> Tensor:
        """Return what the context convolution sees, (batch, feature, time)."""
        value, validity, years = x[:, 0], x[:, 1], x[:, 2]
        known = validity > 0.5
        made = [value, validity, years / 10.0]
        for harmonic in (1, 2):
            angle = 2.0 * math.pi * harmonic * years
            made += [torch.cos(angle), torch.sin(angle)]
        step = functional.pad(years[:, 1:] - years[:, :-1], (1, 0))
        made += [_log_months(step), _log_months(_since(years, known))]
        if not self.causal:
            made.append(_log_months(_since(-years.flip(1), known.flip(1)).flip(1)))
        first, spread = x[:, 3], x[:, 4].exp()
        for i in range(self.bases):
            estimate, log_spread = x[:, 3 + 2 * i], x[:, 4 + 2 * i]
            made += [
                estimate,
                log_spread,
                _bounded(validity * (value - estimate) * torch.exp(-log_spread)),
            ]
            if i:
                made.append(_bounded((estimate - first) / spread))
        return torch.stack(made, dim=1)


class _Conv(nn.Module):
    """A convolution in time that keeps the length: centred, or of the past only."""

    def __init__(
        self, channels: int, width: int, kernel: int, causal: bool, bias: bool = True
    ) -> None:
        super().__init__()
        before = kernel - 1 if causal else kernel // 2
        self.padding = (before, kernel - 1 - before)
        self.filter = nn.Conv1d(channels, width, kernel, bias=bias)

    def forward(self, x: Tensor) -> Tensor:
        z: Tensor = self.filter(functional.pad(x, self.padding))
        return z


class _Drivers(nn.Module):
    """The sum of what each driver says through the same filters."""

    def __init__(self, width: int, kernel: int, d_model: int, causal: bool) -> None:
        super().__init__()
        # Without constants a driver that is 0 throughout is the same as none.
        self.filters = _Conv(1, width, kernel, causal, bias=False)
        self.mix = nn.Conv1d(width, d_model, 1, bias=False)

    def forward(self, drivers: Tensor) -> Tensor:
        batch, count, time = drivers.shape
        each = torch.tanh(self.filters(drivers.reshape(batch * count, 1, time)))
        mixed: Tensor = self.mix(each.reshape(batch, count, -1, time).sum(1))
        return mixed


class _Block(nn.Module):
    """Attention over all steps, then a feed-forward part at each."""

    def __init__(self, width: int, heads: int, ffn: int, dropout: float) -> None:
        super().__init__()
        self.heads = heads
        self.norm_attention, self.norm_ffn = nn.LayerNorm(width), nn.LayerNorm(width)
        self.query_key_value = nn.Linear(width, 3 * width)
        self.out = nn.Linear(width, width)
        self.ffn = nn.Sequential(nn.Linear(width, ffn), nn.ReLU(), nn.Linear(ffn, width))
        self.dropout = nn.Dropout(dropout)

    def forward(self, z: Tensor, turn: tuple[Tensor, Tensor], mask: Tensor | None) -> Tensor:
        batch, time, width = z.shape
        split = self.query_key_value(self.norm_attention(z)).view(batch, time, 3, self.heads, -1)
        query, key, value = split.permute(2, 0, 3, 1, 4)
        seen = functional.scaled_dot_product_attention(
            _turned(query, turn), _turned(key, turn), value, attn_mask=mask
        )
        z = z + self.dropout(self.out(seen.transpose(1, 2).reshape(batch, time, width)))
        fed: Tensor = z + self.dropout(self.ffn(self.norm_ffn(z)))
        return fed


def _softly(x: Tensor, largest: float) -> Tensor:
    return largest * torch.tanh(x / largest)


def _bounded(x: Tensor) -> Tensor:
    return x.clamp(-_LARGEST_INNOVATION, _LARGEST_INNOVATION)


def _log_months(years: Tensor) -> Tensor:
    return torch.log1p(12.0 * years.clamp(min=0.0)) / 3.0


def _since(years: Tensor, known: Tensor) -> Tensor:
    """Return the time since the last known step, (batch, time), in years, at most ten."""
    far = years - _LONGEST_WAIT
    last = torch.where(known, years, torch.full_like(years, -torch.inf)).cummax(dim=1).values
    return years - torch.maximum(last, far)


def _rotation(years: Tensor, width: int) -> tuple[Tensor, Tensor]:
    """Return cosine and sine, (batch, 1, time, width / 2), of the turn of each step."""
    n = width // 2
    exponent = torch.linspace(0.0, 1.0, max(n - 1, 1), device=years.device)
    cycles = _FASTEST * (_SLOWEST / _FASTEST) ** exponent
    cycles = torch.cat([torch.ones_like(cycles[:1]), cycles])[:n]
    angle = 2.0 * math.pi * years[:, None, :, None] * cycles
    return torch.cos(angle), torch.sin(angle)


def _turned(x: Tensor, turn: tuple[Tensor, Tensor]) -> Tensor:
    cosine, sine = (part.to(x.dtype) for part in turn)
    a, b = x.chunk(2, dim=-1)
    return torch.cat([a * cosine - b * sine, a * sine + b * cosine], dim=-1)


def _mask(
    time: int, attention: Literal["full", "logsparse"], causal: bool, device: torch.device
) -> Tensor | None:
    """Return which step (row) sees which (column), (time, time); None where each sees all."""
    step = torch.arange(time, device=device)
    back = step[:, None] - step[None, :]
    seen = torch.ones_like(back, dtype=torch.bool)
    if attention == "logsparse":
        distance = back.abs()
        power = (distance & (distance - 1)) == 0
        seen = power | (distance <= _LOCAL_STEPS)
    elif not causal:
        return None
    return seen & (back >= 0) if causal else seen
