"""Source waveforms by a transformer that keeps asking the forward problem."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from xgeoml.models.waveforms import ABOUT, fast_length

# What is added to the power of the Green's functions, in units of its mean, where the misfit is
# carried back: little keeps the details and the noise, much the strong frequencies only.
_LEVELS = (1.0, 0.1, 0.01)
# In samples: how long the network can tell that a source has only begun.
_BEGINNINGS = (4.0, 32.0)
_TINY = 1e-30
# Slope below zero, in training only: a sample that is cut off can come back.
_LEAK = 0.01
# Longest wavelength of the rotary positions, in tokens.
_LONGEST = 400.0


class EqTf(nn.Module):
    """A positive source, corrected step by step by what is left of the records.

    Each step convolves the source with the Green's functions, carries what is left of the records
    back to the source at three strengths of regularisation, and shows this to an encoder: strided
    convolutions make tokens, transformer layers relate all of them, and convolutions turn them
    into a correction of every sample. All that a step sees lies on the axis of the source, sums
    over stations: their number and order do not matter. The steps have weights of their own.

    Parameters
    ----------
    width : int
        Features of each sample.
    dim : int
        Features of each token, a multiple of twice `heads`.
    heads : int
        Of the attention.
    layers : int
        Transformer layers of each step.
    steps : int
        Corrections.
    stride : int
        Samples of a token, even.
    estimates : int
        Sources that it begins with; the first is what is corrected.
    room : int
        How many times as long as the source may be the axis is on which it is looked for. Most of
        those that the network has learnt from are over within the first quarter: on an axis that
        ends with the source it would cut off the end.

    Notes
    -----
    The encoder is after Vaswani et al. (2017), NeurIPS 30, pre-norm, with the rotary positions of
    Su et al. (2024), Neurocomputing 568, 127063: any length will do. The steps are those of an
    unrolled optimisation, after Adler and Oktem (2018), IEEE Trans. Med. Imaging 37, 1322-1332.
    """

    def __init__(
        self,
        width: int = 24,
        dim: int = 48,
        heads: int = 4,
        layers: int = 1,
        steps: int = 3,
        stride: int = 4,
        estimates: int = 2,
        room: int = 4,
    ) -> None:
        super().__init__()
        self.room = room  # the engine reads it from the spec
        # The source, what to begin with, what is carried back, alone and added, and the pulse that
        # the stations make of an impulse.
        shown = 1 + estimates + 2 * len(_LEVELS) + 1 + len(_BEGINNINGS) + ABOUT
        self.steps = nn.ModuleList(
            _Step(shown, width, dim, heads, layers, stride) for _ in range(steps)
        )

    def forward(self, record: Tensor, greens: Tensor, estimates: Tensor, about: Tensor) -> Tensor:
        """Return source and logarithm of its spread.

        Parameters
        ----------
        record, greens : Tensor, (event, station, sample)
            Stations as large as they count: divided by their noise.
        estimates : Tensor, (event, estimate, lag)
            Sources to begin with.
        about : Tensor, (event, 3)
            See `xgeoml.models.waveforms.shown`.

        Returns
        -------
        Tensor, (event, 2, lag)
            In the unit of the estimates.
        """
        sources, spread = self.unrolled(record, greens, estimates, about)
        return torch.stack([sources[-1], spread], 1)

    def unrolled(
        self, record: Tensor, greens: Tensor, estimates: Tensor, about: Tensor
    ) -> tuple[list[Tensor], Tensor]:
        """Return the source after each step, (event, lag), and the logarithm of the spread."""
        n, lags = record.shape[-1], estimates.shape[-1]
        padded = fast_length(n)
        response = torch.fft.rfft(greens.float(), padded)
        power = response.abs().square().sum(1)
        size = power.mean(-1, keepdim=True).clamp(min=_TINY)
        response, power = response / size.sqrt()[:, None], power / size
        unit = estimates[:, 0].float().square().mean(-1, keepdim=True).sqrt().clamp(min=_TINY)
        begun = estimates.float() / unit[:, None]
        observed = record.float() / (unit * size.sqrt())[:, None]
        pulse = torch.fft.irfft(power, padded)[:, :lags]
        pulse = pulse / pulse[:, :1].clamp(min=_TINY)
        lag = torch.arange(lags, device=record.device, dtype=torch.float32)
        beginning = torch.stack([(-lag / many).exp() for many in _BEGINNINGS])
        still = torch.cat(
            [beginning.expand(len(record), -1, -1), about.float()[:, :, None].expand(-1, -1, lags)],
            1,
        )
        positive = about[:, -1:] > 0
        x, memory = begun[:, 0], None
        sources = []
        for step in self.steps:
            made = torch.fft.irfft(response * torch.fft.rfft(x, padded)[:, None], padded)[..., :n]
            called = _correlated(torch.fft.rfft(observed - made, padded), response).sum(1)
            back = [torch.fft.irfft(called / (power + e), padded)[:, :lags] for e in _LEVELS]
            moving = [x, *begun.unbind(1), *back, *[x + b for b in back], pulse]
            given = torch.cat([torch.asinh(torch.stack(moving, 1)), still], 1)
            answer, memory = step(given, memory)
            answer = answer.float()
            x = x + answer[:, 0]
            cut = functional.leaky_relu(x, _LEAK) if self.training else functional.relu(x)
            x = torch.where(positive, cut, x)
            sources.append(x)
        return [source * unit for source in sources], answer[:, 1] + unit.log()


class _Step(nn.Module):
    """A correction: convolutions at full resolution, and tokens that see each other."""

    def __init__(
        self, shown: int, width: int, dim: int, heads: int, layers: int, stride: int
    ) -> None:
        super().__init__()
        self.stride, self.angle = stride, dim // heads
        self.enter = nn.Conv1d(shown, width, 7, padding=3)
        self.before = nn.Conv1d(width, width, 7, padding=3)
        self.down = nn.Conv1d(width, dim, 2 * stride, stride, padding=stride // 2)
        self.blocks = nn.ModuleList(_Block(dim, heads) for _ in range(layers))
        self.up = nn.Linear(dim, width * stride)
        self.after = nn.ModuleList(nn.Conv1d(width, width, 7, padding=3) for _ in range(2))
        self.leave = nn.Conv1d(width, 2, 5, padding=2)
        for parameter in self.leave.parameters():
            nn.init.zeros_(parameter)

    def forward(self, given: Tensor, memory: Tensor | None) -> tuple[Tensor, Tensor]:
        """Return correction and log spread, (event, 2, lag), and features for the next step."""
        lags = given.shape[-1]
        y = self.enter(functional.pad(given, (0, -lags % self.stride)))
        if memory is not None:
            y = y + memory
        y = y + self.before(functional.gelu(y))
        tokens = self.down(functional.gelu(y)).transpose(1, 2)
        angles = _angles(tokens.shape[1], self.angle, tokens.device)
        for block in self.blocks:
            tokens = block(tokens, angles)
        y = y + self.up(tokens).unflatten(-1, (-1, self.stride)).permute(0, 2, 1, 3).flatten(2)
        for layer in self.after:
            y = y + layer(functional.gelu(y))
        answer: Tensor = self.leave(functional.gelu(y))
        return answer[..., :lags], y


class _Block(nn.Module):
    """A transformer layer."""

    def __init__(self, dim: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.first, self.second = nn.LayerNorm(dim), nn.LayerNorm(dim)
        self.ask = nn.Linear(dim, 3 * dim)
        self.told = nn.Linear(dim, dim)
        self.wide = nn.Sequential(nn.Linear(dim, 2 * dim), nn.GELU(), nn.Linear(2 * dim, dim))

    def forward(self, tokens: Tensor, angles: tuple[Tensor, Tensor]) -> Tensor:
        """Return the tokens, (event, token, feature), each with what it has seen of the others."""
        asked = self.ask(self.first(tokens)).unflatten(-1, (3, self.heads, -1))
        query, key, value = asked.permute(2, 0, 3, 1, 4)
        query, key = _turned(query, angles), _turned(key, angles)
        seen = functional.scaled_dot_product_attention(query, key, value.to(query.dtype))
        tokens = tokens + self.told(seen.transpose(1, 2).flatten(2))
        found: Tensor = tokens + self.wide(self.second(tokens))
        return found


def _correlated(spectrum: Tensor, other: Tensor) -> Tensor:
    """Return the product with the conjugate, in real numbers.

    Of a complex product the last numbers of a batch are made one by one, and rounded in another
    way: how many events it has would show in the last digits.
    """
    a, b = torch.view_as_real(spectrum).unbind(-1), torch.view_as_real(other).unbind(-1)
    return torch.complex(a[0] * b[0] + a[1] * b[1], a[1] * b[0] - a[0] * b[1])


def _angles(count: int, features: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """Return cosine and sine of the rotary positions, (token, half of the features)."""
    half = features // 2
    rate = _LONGEST ** (-torch.arange(half, device=device) / half)
    angle = torch.arange(count, device=device)[:, None] * rate
    return angle.cos(), angle.sin()


def _turned(x: Tensor, angles: tuple[Tensor, Tensor]) -> Tensor:
    cosine, sine = angles
    a, b = x.chunk(2, -1)
    return torch.cat([a * cosine - b * sine, a * sine + b * cosine], -1)
