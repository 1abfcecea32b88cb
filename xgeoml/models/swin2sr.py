"""Attention within shifted windows, from coarse cells to fine ones.

After Conde, Choi, Burchi and Timofte (2022), arXiv 2209.11345, whose network is taken from the
package `transformers`, and, for reanalyses, DeepR (arXiv 2410.12728).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from xgeoml.exceptions import MissingExtraError
from xgeoml.models.conv_baseline import check_factor, quiet, same_factor

# Channels on the way into the body and out of it. Not 3: that would be a picture's colours.
_LEAD = 8
# What published files call the parts, and what they hold beside parameters.
_PUBLISHED = {"preprocess_model.": "lead.", "swin.": "body."}
_DERIVED = ("relative_position_index", "relative_coords_table", "attn_mask")


class Swin2SR(nn.Module):
    """Swin2SR beside a first estimate.

    Parameters
    ----------
    factor : int
        2 to 8.
    channels : int
        Coarse channels: value, validity, covariates.
    fine_channels : int
        Fine channels: estimates, then static covariates.
    embed : int
        Channels of the body.
    depths, heads : sequence of int
        Layers of each stage, and heads of its attention.
    window : int
        Cells of a window of attention along each axis.
    mlp : float
        Width of the feed-forward parts as a multiple of `embed`.
    domain : sequence of int, optional
        For weights as DeepR publishes them, which belong to one size: coarse rows and columns that
        go in, then those in their middle that are refined; ``[44, 60, 32, 48]`` there. Neither
        covariates nor validity are heeded then. By default any size goes in.

    Notes
    -----
    Without `domain` the last layer starts at zero: an untrained network returns the first estimate.
    """

    def __init__(
        self,
        factor: int = 4,
        channels: int = 2,
        fine_channels: int = 1,
        embed: int = 60,
        depths: Sequence[int] = (4, 4),
        heads: Sequence[int] = (6, 6),
        window: int = 8,
        mlp: float = 2.0,
        domain: Sequence[int] | None = None,
    ) -> None:
        super().__init__()
        check_factor(factor)
        if embed % 2 or len(depths) != len(heads) or any(embed % n for n in heads):
            raise ValueError(
                f"embed={embed}, depths={list(depths)}, heads={list(heads)}: expected an even "
                "number, a multiple of each of the heads, and as many heads as depths"
            )
        self.factor, self.window, self.domain = factor, window, domain and tuple(domain)
        body = {
            "embed_dim": embed,
            "depths": list(depths),
            "num_heads": list(heads),
            "window_size": window,
            "mlp_ratio": mlp,
        }
        if domain is None:
            self.lead = nn.Conv2d(channels, _LEAD, 3, padding=1)
            self.body = _body(_LEAD, factor, "pixelshuffledirect", body)
            self.head = quiet(nn.Conv2d(_LEAD + fine_channels, 1, 3, padding=1))
        else:
            upscale = _upscale(factor)
            self.lead = nn.Conv2d(1, 1, _kernel(domain, factor, upscale))
            self.body = _body(1, upscale, "pixelshuffle", body)
        self.register_load_state_dict_pre_hook(_rename)  # type: ignore[no-untyped-call]

    def forward(self, coarse: Tensor, fine: Tensor, factor: int) -> Tensor:
        """Return what to add to the first estimate, see `xgeoml.models.downscaling.Refiner`."""
        same_factor(factor, self.factor)
        if self.domain is not None:
            return self._within_domain(coarse)
        made: Tensor = self.head(torch.cat([self._refined(self.lead(coarse), factor), fine], dim=1))
        return made

    def _within_domain(self, coarse: Tensor) -> Tensor:
        """Return the correction of the middle, and 0 around it."""
        assert self.domain is not None
        outer, inner = self.domain[:2], self.domain[2:]
        given = coarse.shape[2:]
        lacking = [n - m for n, m in zip(outer, given, strict=True)]
        if min(lacking) < 0:
            raise ValueError(
                f"got {tuple(given)} coarse rows and columns, expected at most {outer}: weights "
                f"with domain={list(self.domain)} need tiles of {inner}"
            )
        value = nn.functional.pad(coarse[:, :1], (0, lacking[1], 0, lacking[0]), mode="replicate")
        made = self._refined(self.lead(value), _upscale(self.factor))
        above, left = ((n - m) * self.factor // 2 for n, m in zip(outer, inner, strict=True))
        made = nn.functional.pad(made, (left, left, above, above))
        return made[..., : given[0] * self.factor, : given[1] * self.factor]

    def _refined(self, x: Tensor, scale: int) -> Tensor:
        """Return the output of the body, which wants whole windows."""
        rows, columns = x.shape[2:]
        pad = [-n % self.window for n in (columns, rows)]
        x = nn.functional.pad(x, (0, pad[0], 0, pad[1]), mode="replicate")
        made: Tensor = self.body(x).reconstruction
        return made[..., : rows * scale, : columns * scale]


def _body(channels: int, upscale: int, upsampler: str, options: dict[str, Any]) -> nn.Module:
    try:
        import transformers
    except ImportError as error:
        raise MissingExtraError("swin", "model 'swin2sr'", "transformers") from error
    config = transformers.Swin2SRConfig(
        patch_size=1,
        num_channels=channels,
        num_channels_out=channels,
        upscale=upscale,
        upsampler=upsampler,
        # Drawn by each process for itself, layers left out would make two of them another training.
        drop_path_rate=0.0,
        **options,
    )
    made: nn.Module = transformers.Swin2SRForImageSuperResolution(config)
    return made


def _upscale(factor: int) -> int:
    """Return the power of two that is not below the factor."""
    return 1 << (factor - 1).bit_length()


def _kernel(domain: Sequence[int], factor: int, upscale: int) -> tuple[int, int]:
    """Return the size of the convolution that leads to the grid that `upscale` makes the fine one.

    It takes what lies around the middle, and makes the fine grid's size right too.
    """
    sizes = []
    for outer, inner in zip(domain[:2], domain[2:], strict=True):
        if inner * factor % upscale or outer < inner or (outer - inner) % 2:
            raise ValueError(
                f"domain={list(domain)}: expected coarse rows and columns, then those of the "
                f"middle, an even number fewer, which times {factor} are multiples of {upscale}"
            )
        sizes.append(outer - inner * factor // upscale + 1)
    return sizes[0], sizes[1]


def _rename(_module: nn.Module, state: dict[str, Any], prefix: str, *_: Any) -> None:
    """Give parameters of a published file our names, before they are loaded."""
    if not any(k.startswith(prefix + "preprocess_model.") for k in state):
        return
    for key in list(state):
        bare = key[len(prefix) :]
        value = state.pop(key)
        if bare.endswith(_DERIVED):
            continue
        for theirs, ours in _PUBLISHED.items():
            if bare.startswith(theirs):
                bare = ours + bare[len(theirs) :]
                break
        state[prefix + bare] = value
