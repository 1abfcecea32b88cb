"""One gap-free field a month from gappy daily fields.

After ClimaNet (ESMValGroup, ESO4Clima project): patches of days are embedded, attention gathers
the days of a month and then the months, a transformer mixes the patches of a month, transposed
convolutions lead back to the grid. What it adds to is no plain mean of the available days, but one
in which the missing days are estimated from what lies around them, by `Successive`.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor, nn

from xgeoml.models._successive import Daily, Estimated, Successive

DAYS = 31
_DAYS_A_YEAR = 365.25
# Days and cells of the scales that the daily estimate is made at.
_SCALES = ((45.0, 8.0), (120.0, 1.0), (18.0, 5.0), (9.0, 3.3), (5.0, 1.3), (1.3, 1.1), (0.6, 0.8))
# No error of a month is believed to be smaller than this share of the variability.
_SMALLEST = 2e-3
_LARGEST_LOG_RATIO = 4.0
_SMALLEST_SHARE = 1e-6


class ClimaNet(nn.Module):
    """Estimate monthly means of daily fields that are missing in part.

    Parameters
    ----------
    width : int
        Of the tokens.
    patch : int
        Cells of a patch along each axis.
    heads, layers : int
        Of the transformer over patches; its feed-forward parts are four times as wide as the
        tokens.
    hidden : int
        Channels of the decoder.
    overlap : int
        Cells by which a decoded patch reaches into its neighbours.
    cycles : int
        How often the daily estimate is corrected at every scale.
    dropout : float
        Share of activations of tokens dropped in training.

    Notes
    -----
    Each month has 31 slots, some of which the calendar may not have: those have no weight, and
    nor have days without data, which attention can tell from each other. Land is never observed,
    and has a channel of its own. The last layer starts at zero: an untrained network returns the
    mean of the days, observed or estimated. It corrects the missing days only, so that a month
    observed throughout is returned as it is. Where nothing is observed at all, it returns 0 and a
    spread of the order of the data's deviation.
    """

    def __init__(
        self,
        width: int = 48,
        patch: int = 4,
        heads: int = 4,
        layers: int = 2,
        hidden: int = 32,
        overlap: int = 2,
        cycles: int = 2,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        if width % (4 * heads):
            raise ValueError(f"width={width}: expected a multiple of 4 * heads = {4 * heads}")
        if hidden % 8:
            raise ValueError(f"hidden={hidden}: expected a multiple of 8")
        self.patch = patch
        self.daily = Successive(_SCALES, cycles)
        self.days = _Days(width, patch, dropout)
        self.months = _Months(width, heads)
        self.space = nn.ModuleList(
            nn.TransformerEncoderLayer(
                width, heads, 4 * width, 0.0, "gelu", batch_first=True, norm_first=True
            )
            for _ in range(layers)
        )
        self.decoder = _Decoder(width, hidden, patch, overlap, 8 + len(_SCALES))

    def forward(self, x: Tensor) -> Tensor:
        """Return the means of all months and their spread.

        Parameters
        ----------
        x : Tensor, (sample, 4, 31 * month, y, x)
            Value in scaled units (0 where missing); share of the day that was observed, 0 to 1;
            decimal years; 1 where the calendar has such a day, else 0. Sizes of space are
            multiples of `patch`.

        Returns
        -------
        Tensor, (sample, 2, month, y, x)
            Mean over all days of the month, and the logarithm of its spread.
        """
        self._check(x)
        # Sums over hundreds of days need more digits than half precision has.
        with torch.autocast(x.device.type, enabled=False):
            daily = _daily(x.float())
            made = self.daily(daily)
            unit, some = _variability(daily, made)
            month = _monthly(daily, made, unit)
        tokens = self.days(daily, made, unit)
        tokens = self.months(tokens, _of_months(daily.exists).amax(2) > 0)
        sample, months, rows, columns, width = tokens.shape
        tokens = tokens.reshape(sample * months, rows * columns, width)
        tokens = tokens + _places(rows, columns, width, x.device)
        for layer in self.space:
            tokens = layer(tokens)
        tokens = tokens.reshape(sample * months, rows, columns, width)
        correction, ratio = self.decoder(tokens, month.features.flatten(0, 1)).unbind(1)
        unit = unit[:, None, None, None]
        guess = unit * (1.0 - month.share) * month.doubt
        value = month.mean + some[:, None, None, None] * guess * correction.view_as(guess)
        spread = guess * ratio.view_as(guess) + _SMALLEST * unit
        return torch.stack([value, spread.log()], dim=1)

    def _check(self, x: Tensor) -> None:
        if x.ndim != 5 or x.shape[1] != 4:
            raise ValueError(
                f"got input of shape {tuple(x.shape)}, expected (sample, 4, {DAYS} * month, y, x): "
                "value, validity, years and whether there is such a day"
            )
        if x.shape[2] % DAYS or x.shape[3] % self.patch or x.shape[4] % self.patch:
            raise ValueError(
                f"got {tuple(x.shape[2:])} days, rows and columns; expected multiples of {DAYS}, "
                f"{self.patch} and {self.patch}"
            )


class _Month(NamedTuple):
    """What the daily estimate says of each month; (sample, month, y, x) but for `features`.

    Attributes
    ----------
    mean : Tensor
        Mean of all its days, observed or estimated.
    share : Tensor
        Share of its days that was observed.
    doubt : Tensor
        A first guess of how uncertain the mean of the missing days is, in units of variability.
    features : Tensor, (sample, month, feature, y, x)
    """

    mean: Tensor
    share: Tensor
    doubt: Tensor
    features: Tensor


class _Days(nn.Module):
    """Embed the patches of each day, and gather the days of each month."""

    def __init__(self, width: int, patch: int, dropout: float) -> None:
        super().__init__()
        self.patch = patch
        # Not through a reshape: days stay days, and cells cells.
        size = (1, patch, patch)
        self.embed = nn.Conv3d(3, width, size, stride=size)
        self.norm, self.dropout = nn.LayerNorm(width), nn.Dropout(dropout)
        self.time = nn.Linear(8, width)
        self.score = nn.Sequential(
            nn.LayerNorm(width), nn.Linear(width, width), nn.GELU(), nn.Linear(width, 1)
        )
        self.state = nn.Linear(6, width)
        self.land = nn.Conv2d(1, width, patch, stride=patch)

    def forward(self, daily: Daily, made: Estimated, unit: Tensor) -> Tensor:
        """Return a token for each patch and month, (sample, month, y, x, width)."""
        unit = unit[:, None, None, None]
        exists = daily.exists[:, :, None, None]
        seen = torch.stack(
            [
                daily.valid * (daily.value - made.broad) / unit,
                daily.valid,
                exists * (made.full - made.broad) / unit,
            ],
            dim=1,
        )
        tokens = self.embed(seen).permute(0, 2, 3, 4, 1)
        tokens = self.dropout(self.norm(tokens))
        tokens = _of_months(tokens + self.time(_clock(daily))[:, :, None, None])
        share = nn.functional.avg_pool2d(daily.valid, self.patch)
        share = _of_months(share * exists)
        score = self.score(tokens)[..., 0] + torch.log(share.clamp(min=_SMALLEST_SHARE))
        score = score.masked_fill(share == 0.0, -torch.inf)
        # A month without any data has no weights to share out: none of its days counts.
        some = (share > 0.0).any(2, keepdim=True)
        weight = torch.softmax(torch.where(some, score, 0.0), dim=2) * some
        gathered = (weight[..., None] * tokens).sum(2)
        land = (daily.valid.amax(1, keepdim=True) == 0.0).to(daily.value.dtype)
        embedded = self.land(land).permute(0, 2, 3, 1)
        state = self.state(_month_state(daily, share))
        made_tokens: Tensor = gathered + embedded[:, None] + state
        return made_tokens


class _Months(nn.Module):
    """Let the months of a patch see each other."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.attention = nn.MultiheadAttention(width, heads, batch_first=True)
        self.ffn = nn.Sequential(
            nn.LayerNorm(width),
            nn.Linear(width, 4 * width),
            nn.GELU(),
            nn.Linear(4 * width, width),
        )

    def forward(self, tokens: Tensor, exist: Tensor) -> Tensor:
        """Return the tokens, (sample, month, y, x, width), that those `exist` have been mixed in.

        Where there is no month at all, each sees all: something must have a weight.
        """
        sample, months, rows, columns, width = tokens.shape
        flat = tokens.permute(0, 2, 3, 1, 4).reshape(sample * rows * columns, months, width)
        absent = ~(exist | ~exist.any(1, keepdim=True))
        absent = absent.repeat_interleave(rows * columns, dim=0)
        query = self.norm(flat)
        mixed, _ = self.attention(query, query, query, key_padding_mask=absent, need_weights=False)
        flat = flat + mixed
        made: Tensor = flat + self.ffn(flat)
        return made.view(sample, rows, columns, months, width).permute(0, 3, 1, 2, 4)


class _Decoder(nn.Module):
    """Lead tokens back to the grid: overlapping patches, then refinement beside the estimate."""

    def __init__(self, width: int, hidden: int, patch: int, overlap: int, features: int) -> None:
        super().__init__()
        self.narrow = nn.Conv2d(width, hidden, 1)
        self.spread = nn.ConvTranspose2d(
            hidden, hidden, patch + 2 * overlap, stride=patch, padding=overlap
        )
        layers: list[nn.Module] = []
        for channels in (hidden + features, hidden):
            layers += [
                nn.Conv2d(channels, hidden, 3, padding=1),
                nn.GroupNorm(8, hidden),
                nn.GELU(),
            ]
        self.refine = nn.Sequential(*layers)
        # Normalised, the rest cannot say whether there is much to correct or next to nothing.
        self.size = nn.Sequential(
            nn.Conv2d(features, hidden, 1), nn.GELU(), nn.Conv2d(hidden, 1, 1)
        )
        self.head = nn.Conv2d(hidden + features, 2, 1)
        nn.init.zeros_(self.head.weight)
        assert self.head.bias is not None
        nn.init.zeros_(self.head.bias)

    def forward(self, tokens: Tensor, features: Tensor) -> Tensor:
        """Return correction and spread relative to the first guess of it, (month, 2, y, x)."""
        decoded = self.spread(self.narrow(tokens.permute(0, 3, 1, 2)))
        refined = self.refine(torch.cat([decoded, features], dim=1))
        made: Tensor = self.head(torch.cat([refined, features], dim=1)).float()
        size = self.size(features).float().clamp(-_LARGEST_LOG_RATIO, _LARGEST_LOG_RATIO).exp()
        correction, log_ratio = made[:, :1], made[:, 1:]
        ratio = log_ratio.clamp(-_LARGEST_LOG_RATIO, _LARGEST_LOG_RATIO).exp()
        return torch.cat([size * correction, size * ratio], dim=1)


def _daily(x: Tensor) -> Daily:
    """Return the input as days; the calendar is the same at all cells that it has."""
    count = x[:, 3].sum((2, 3))
    days = _DAYS_A_YEAR * (x[:, 2] * x[:, 3]).sum((2, 3)) / count.clamp(min=1.0)
    exists = (count > 0).to(x.dtype)
    valid = x[:, 1] * x[:, 3]
    return Daily(torch.where(valid > 0, x[:, 0], 0.0), valid, days, exists)


def _of_months(x: Tensor) -> Tensor:
    """Return (sample, month, day, ...) of (sample, month x day, ...)."""
    return x.view(len(x), -1, DAYS, *x.shape[2:])


def _variability(daily: Daily, made: Estimated) -> tuple[Tensor, Tensor]:
    """Return how far observations lie from the broad estimate, and 1 if there are any, (sample,).

    All that is learnt is in this unit, so that it holds wherever fields vary more or less.
    """
    count = daily.valid.sum((1, 2, 3))
    square = (daily.valid * (daily.value - made.broad) ** 2).sum((1, 2, 3))
    unit = torch.sqrt(square / count.clamp(min=1.0) + _SMALLEST_SHARE)
    some = count > 0
    return torch.where(some, unit, 1.0), some.to(unit.dtype)


def _monthly(daily: Daily, made: Estimated, unit: Tensor) -> _Month:
    """Return what the daily estimate says of each month."""
    exists = _of_months(daily.exists)[..., None, None]
    count = exists.sum(2).clamp(min=1.0)

    def mean(field: Tensor) -> Tensor:
        """Return the mean over the days that there are, of (sample, day, ...)."""
        return (_of_months(field) * exists).sum(2) / count

    whole = daily.valid * daily.value + (1.0 - daily.valid) * made.full
    full, broad, share, doubt = (mean(f) for f in (whole, made.broad, daily.valid, made.doubt))
    observed = mean(daily.valid * daily.value) / share.clamp(min=_SMALLEST_SHARE)
    unit = unit[:, None, None, None]
    departure = (made.full - made.broad) / unit[:, :1]
    varied = mean(departure**2) - mean(departure) ** 2
    land = (daily.valid.amax(1, keepdim=True) == 0.0).expand_as(share)
    features = [
        (share > 0) * (observed - full) / unit,
        (full - broad) / unit,
        share,
        doubt,
        land.to(full.dtype),
        torch.sqrt(varied.clamp(min=0.0) + _SMALLEST_SHARE),
        *(tie[:, None, None, None].expand_as(share) for tie in _ties(daily, made, unit)),
        *(mean(scale) for scale in made.density.unbind(1)),
    ]
    return _Month(full, share, torch.sqrt(0.05 + doubt) / 2.0, torch.stack(features, dim=2))


def _ties(daily: Daily, made: Estimated, unit: Tensor) -> tuple[Tensor, Tensor]:
    """Return how much higher the field is below clouds, and at their edges, (sample,) each.

    Where cloud and temperature go together, what is missing differs from what is seen.
    """
    unit = unit.flatten()
    missing = daily.exists[:, :, None, None] * (1.0 - daily.valid)
    missing = missing * (daily.valid.amax(1, keepdim=True) > 0)
    departure = made.full - made.broad

    def mean(field: Tensor, weight: Tensor) -> Tensor:
        return (weight * field).sum((1, 2, 3)) / weight.sum((1, 2, 3)).clamp(min=1.0)

    below = mean(departure, missing) / unit
    cloud = -made.density[:, -1]
    usual = mean(cloud, daily.valid)[:, None, None, None]
    return below, mean((cloud - usual) * departure, daily.valid) / unit


def _clock(daily: Daily) -> Tensor:
    """Return the day's place in the month and in the year, (sample, day, 8)."""
    exists, days = _of_months(daily.exists) > 0, _of_months(daily.days)
    first = torch.where(exists, days, torch.inf).amin(2, keepdim=True)
    place = torch.where(exists, (days - first) / (DAYS - 1), 0.0).flatten(1)
    year = daily.days / _DAYS_A_YEAR
    return _turns([(place, 0.5), (place, 1.0), (year, 1.0), (year, 2.0)])


def _month_state(daily: Daily, share: Tensor) -> Tensor:
    """Return time in the year and how much was observed, (sample, month, y, x, 6)."""
    exists, days = _of_months(daily.exists), _of_months(daily.days)
    middle = (exists * days).sum(2) / exists.sum(2).clamp(min=1.0) / _DAYS_A_YEAR
    turns = _turns([(middle, 1.0), (middle, 2.0)])[:, :, None, None]
    mean = share.sum(2) / exists.sum(2).clamp(min=1.0)[..., None, None]
    seen = torch.stack([mean, torch.log1p(share.sum(2)) / 3.5], dim=-1)
    return torch.cat([turns.expand(*seen.shape[:-1], 4), seen], dim=-1)


def _turns(angles: list[tuple[Tensor, float]]) -> Tensor:
    """Return cosine and sine of each angle, given in turns, along a new last axis."""
    made = []
    for turn, times in angles:
        angle = 2.0 * math.pi * times * turn
        made += [torch.cos(angle), torch.sin(angle)]
    return torch.stack(made, dim=-1)


def _places(rows: int, columns: int, width: int, device: torch.device) -> Tensor:
    """Return fixed sinusoids, (y x, width): half of them say the row, half the column."""
    half = width // 2
    rate = torch.exp(-math.log(100.0) * torch.arange(0, half, 2, device=device) / half)

    def along(count: int) -> Tensor:
        angle = torch.arange(count, device=device)[:, None] * rate
        return torch.cat([torch.sin(angle), torch.cos(angle)], dim=-1)

    row = along(rows)[:, None].expand(rows, columns, half)
    column = along(columns)[None].expand(rows, columns, half)
    return torch.cat([row, column], dim=-1).flatten(0, 1)
