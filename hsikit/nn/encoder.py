"""The encoder of any sensor: a spectral adapter, then stages of blocks whose mixers and feed-forward parts are chosen by name.

A backbone of the literature is a row of options (`PRESETS`), a mixer is a module (`mixers/`). The stages follow MetaFormer (Yu et al., 2022,
arXiv:2111.11418). `dense` gives features of every pixel, `scales` the maps of all stages, `band_tokens` features of every band of every pixel.

Where the preset keeps stride 1 and mixers of finite reach, as the default does, a map made in tiles equals the map made at once: tiles need
`halo` pixels around them. A pixel that is not usable, or lacks a value in a band that counts, has zeros in all maps, and what stands in it
changes nothing elsewhere.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Self

import torch
from torch import Tensor, nn
from torch.nn import functional

from hsikit.errors import OptionError
from hsikit.nn.adapters import ADAPTERS, Adapter, TokenAdapter, build_adapter
from hsikit.nn.adapters.bands import known_widths
from hsikit.nn.encoder_blocks import EncoderBlock, EncoderStage, MixerSpec, Reduction, counted_pixels, fold_tokens, token_validity, unfold_tokens
from hsikit.nn.feed_forward import FEED_FORWARDS
from hsikit.nn.lora import PRETRAINED
from hsikit.nn.mixers import MIXERS
from hsikit.nn.mixers.base import masked
from hsikit.nn.wavelength_code import WavelengthEmbedding

LORA_TARGETS = ("qkv", "proj", "enter", "leave")
"""The linear layers of mixers and feed-forward parts that low-rank adapters belong on; see `Encoder.lora_targets`."""


@dataclass(frozen=True)
class Preset:
    """Options of an encoder.

    Attributes:
        adapter: a key of `hsikit.nn.adapters.ADAPTERS`.
        adapter_options: of that adapter; its width is the first stage's channels unless given.
        channels: of each stage's map.
        depths: blocks of each stage.
        strides: pixels of the window for a pixel of each stage's map; each a multiple of the one before.
        mixers: for each stage, the mixers of its blocks, from the first block on, and again.
        feed_forward: a key of `hsikit.nn.feed_forward.FEED_FORWARDS`.
        ratio: hidden channels of the feed-forward parts, as a multiple of the stage's.
        position: whether each block tells its mixer what is beside what; see `EncoderBlock`.
        by_token: whether the adapter's tokens go through the stages, and are pooled after each, instead of features of pixels. Takes an
            adapter with tokens, and one number of channels.
        width: channels of `Encoder.dense`.
        band_width: channels of `Encoder.band_tokens`.
    """

    adapter: str = "hyper"
    adapter_options: Mapping[str, Any] = field(default_factory=dict)
    channels: tuple[int, ...] = (128,)
    depths: tuple[int, ...] = (6,)
    strides: tuple[int, ...] = (1,)
    mixers: tuple[tuple[MixerSpec, ...], ...] = (("dwconv",),)
    feed_forward: str = "mlp"
    ratio: int = 4
    position: bool = False
    by_token: bool = False
    width: int = 128
    band_width: int = 32

    def __post_init__(self) -> None:
        stages = len(self.channels)
        if any(isinstance(each, str) for each in (self.mixers, *self.mixers)):
            raise _wrong(f"mixers {self.mixers}: give the mixers of each stage, as in (('dwconv', 'channel'),)")
        if not stages or any(len(each) != stages for each in (self.depths, self.strides, self.mixers)):
            raise _wrong("channels, depths, strides and mixers must be given for each stage, and for at least one")
        numbers = (*self.channels, *self.depths, *self.strides, self.ratio, self.width, self.band_width)
        if any(number < 1 for number in numbers) or not all(self.mixers):
            raise _wrong("channels, depths, strides, ratio and widths must be 1 or more, and each stage needs a mixer")
        if any(after % before for before, after in zip((1, *self.strides), self.strides, strict=False)):
            raise _wrong(f"strides {self.strides}: each must be a multiple of the one before")
        if self.by_token and len(set(self.channels)) > 1:
            raise _wrong(f"channels {self.channels}: with by_token, they must be the same in all stages")


def _wrong(what: str) -> OptionError:
    return OptionError("encoder", what, "See docs/encoder.md")


_NEAR: MixerSpec = {"name": "dwconv", "kernel": 3}
_SHIFTED: MixerSpec = {"name": "window", "shift": 3}
_PAPER: MixerSpec = {"name": "morphology", "mode": "paper"}
_LESS = Preset("channel", channels=(64,), depths=(4,), strides=(8,), mixers=(("less",),), position=True, by_token=True, width=64)

PRESETS: Mapping[str, Preset] = {
    "tiny": Preset(channels=(64,), depths=(4,), mixers=((_NEAR,),), ratio=2, width=64),
    "small": Preset(mixers=((_NEAR,),)),
    "base": Preset(depths=(4,), mixers=((_NEAR,),), ratio=2, band_width=48),
    "convnext": Preset(),
    "poolformer": Preset(mixers=(("pool",),)),
    "davit": Preset(mixers=((_NEAR, "channel"),)),
    "swin": Preset(channels=(64, 128), depths=(2, 4), strides=(2, 4), mixers=(("window", _SHIFTED), ("window", _SHIFTED))),
    "segformer": Preset(channels=(64, 128), depths=(2, 4), strides=(2, 4), mixers=(("reduced",), ("reduced",)), feed_forward="dw"),
    "vit": Preset(strides=(8,), mixers=(("full",),), position=True),
    "spectralgpt": Preset("channel", channels=(64,), depths=(4,), strides=(16,), mixers=(("joint",),), position=True, by_token=True, width=64),
    "less": _LESS,
    "less-pooled": dataclasses.replace(_LESS, feed_forward="pooled"),
    "mamba": Preset(depths=(4,), strides=(2,), mixers=(("scan",),)),
    "morpmamba": Preset(channels=(64,), depths=(2,), mixers=(("morphology",),)),
    "morpmamba-paper": Preset(channels=(64,), depths=(2,), mixers=((_PAPER,),)),
}
"""Presets by name: after the backbones they are named for, small, and over any sensor's bands."""
EXACT = ("base", "small", "tiny", "convnext", "poolformer")
"""Those that are exact over tiles, on which tasks can stand."""


class Encoder(nn.Module):
    """See the module.

    Args:
        preset: its options.

    Attributes:
        preset: as given.
        adapter: the spectral adapter.
        width: channels of `dense`.
        band_width: channels of `band_tokens`.
        channels: of each stage's map.
        strides: of each stage's map.
        pretrained: buffer; whether the weights have learned something (`hsikit.nn.lora.mark_pretrained`).

    Raises:
        OptionError: a name that does not exist, or options that do not go together.
    """

    pretrained: Tensor

    def __init__(self, preset: Preset) -> None:
        super().__init__()
        self.preset = preset
        self.width, self.band_width, self.channels, self.strides = preset.width, preset.band_width, preset.channels, preset.strides
        self.adapter = _adapter(preset)
        self.stages = nn.ModuleList(_stages(preset, self.adapter.width))
        self.norms = nn.ModuleList(nn.LayerNorm(channels) for channels in preset.channels)
        self.fuse = nn.ModuleList(nn.Linear(channels, preset.width) for channels in preset.channels)
        self.band_features = nn.Linear(preset.width, preset.band_width)
        self.band_code = WavelengthEmbedding(2 * preset.band_width)
        self.register_buffer(PRETRAINED, torch.tensor(False))

    @property
    def halo(self) -> int | None:
        """Pixels around a tile with which `dense` is exact; None where no halo makes it so: a mixer without bound, or a stride above 1."""
        reaches = [stage.reach for stage in self.stages if isinstance(stage, EncoderStage)]
        if None in reaches or max(self.strides) > 1:
            return None
        return sum(reach for reach in reaches if reach is not None)

    @property
    def unbounded(self) -> str:
        """What makes that there is no `halo`, in words; "" where there is one."""
        names = {kind: f"the {what} `{name}`" for what, table in (("mixer", MIXERS), ("feed-forward part", FEED_FORWARDS)) for name, kind in table.items()}
        blocks = [block for block in self.stages.modules() if isinstance(block, EncoderBlock)]
        causes = [f"{names[type(part)]}, which sees {part.sees}" for block in blocks for part in (block.mixer, block.feed_forward) if part.reach is None]
        if max(self.strides) > 1:
            causes.insert(0, f"a stride of {max(self.strides)}, whose cells begin where the map begins")
        return "; ".join(dict.fromkeys(causes))

    @property
    def lora_targets(self) -> tuple[str, ...]:
        """Those of `LORA_TARGETS` that this encoder has within its stages."""
        names = {path.rpartition(".")[2] for path, layer in self.stages.named_modules() if isinstance(layer, nn.Linear)}
        return tuple(target for target in LORA_TARGETS if target in names)

    def config(self) -> dict[str, Any]:
        """The options as JSON values; the inverse of `from_config`."""
        return {name: _plain(value) for name, value in dataclasses.asdict(self.preset).items()}

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Self:
        """An encoder with fresh weights out of what `config` gave.

        Raises:
            OptionError: see `Encoder`; or a value is missing, unknown or of another kind.
        """
        known = {option.name for option in dataclasses.fields(Preset)}
        if wrong := sorted(known ^ set(config)):
            raise _wrong(f"{', '.join(wrong)}: missing, or no option of an encoder")
        try:
            return cls(Preset(**{name: _frozen(value) for name, value in config.items()}))
        except (TypeError, ValueError, AttributeError, KeyError) as error:
            raise _wrong(f"its options cannot be used ({error})") from error

    def forward(self, window: Tensor, wavelength: Tensor, fwhm: Tensor, valid: Tensor, usable: Tensor | None = None) -> list[Tensor]:
        """See `scales`."""
        return self.scales(window, wavelength, fwhm, valid, usable)

    def scales(self, window: Tensor, wavelength: Tensor, fwhm: Tensor, valid: Tensor, usable: Tensor | None = None) -> list[Tensor]:
        """The maps of all stages.

        Args:
            window: standardised values of the bands, floating point, shape (B, C, H, W). A pixel where a valid band has no finite value does
                not count; what stands in other bands is not looked at.
            wavelength: band centres (nm), in any order, shape (C,).
            fwhm: full widths at half maximum (nm), NaN where unknown, 0 where a band is to be left out; shape (C,).
            valid: bool, the bands that count, shape (C,).
            usable: bool, the pixels that count, shape (B, H, W); all where None.

        Returns:
            For each stage, shape (B, channels, ceil(H / stride), ceil(W / stride)), a view of channels-last memory; zero where no pixel counts.

        Raises:
            WavelengthError: see `Adapter.forward`.
            ValueError: shapes that do not fit.
        """
        counted = counted_pixels(window, valid & (fwhm != 0), usable)
        x, tokens = self.adapted(window, wavelength, fwhm, valid, counted)
        return [each.permute(0, 3, 1, 2) for each, _ in self._staged(x, counted, tokens)]

    def dense(self, window: Tensor, wavelength: Tensor, fwhm: Tensor, valid: Tensor, usable: Tensor | None = None) -> Tensor:
        """Features of every pixel; arguments and errors of `scales`.

        Returns:
            Shape (B, width, H, W), a view of channels-last memory; zero where a pixel does not count.
        """
        counted = counted_pixels(window, valid & (fwhm != 0), usable)
        x, tokens = self.adapted(window, wavelength, fwhm, valid, counted)
        return self.dense_of(x, counted, tokens)

    def adapted(self, window: Tensor, wavelength: Tensor, fwhm: Tensor, valid: Tensor, counted: Tensor | None = None) -> tuple[Tensor, int]:
        """What the spectral adapter makes of each pixel, before pixels see one another: where a pretraining hides or exchanges pixels.

        Args:
            window: see `scales`.
            wavelength: see `scales`.
            fwhm: see `scales`.
            valid: see `scales`.
            counted: the pixels that count, bool, shape (B, H, W), all where None; others are zero.

        Returns:
            Shape (B * tokens, H, W, adapter's width), and the number of tokens.

        Raises:
            WavelengthError: see `Adapter.forward`.
        """
        # Zeros before the adapter, too: a missing value there would make the gradients of its weights NaN.
        known = window if counted is None else torch.where(counted[:, None], window, window.new_zeros(()))
        x, tokens = self._adapted(known, wavelength, fwhm, valid)
        return masked(x, token_validity(counted, tokens)), tokens

    def dense_of(self, adapted: Tensor, counted: Tensor | None = None, tokens: int = 1) -> Tensor:
        """Features of every pixel from what `adapted` gave: `dense` is the one after the other.

        Returns:
            Shape (B, width, H, W), a view of channels-last memory; zero where a pixel does not count.
        """
        rows, cols = adapted.shape[1:3]
        total = torch.zeros((), device=adapted.device)
        for (each, _), fuse, stride in zip(self._staged(adapted, counted, tokens), self.fuse, self.strides, strict=True):
            total = total + _enlarged(fuse(each), stride)[:, :rows, :cols]
        return masked(total, counted).permute(0, 3, 1, 2)

    def band_tokens(self, window: Tensor, wavelength: Tensor, fwhm: Tensor, valid: Tensor, usable: Tensor | None = None) -> Tensor:
        """Features of every band of every pixel, those that do not count included; arguments and errors of `scales`.

        Returns:
            Shape (B, H, W, C, band_width), in the order of the bands: the memory of `band_width` such windows.

        Raises:
            WavelengthError: also where a band that does not count has no centre.
        """
        return self.query(self.dense(window, wavelength, fwhm, valid, usable), wavelength, fwhm)

    def query(self, features: Tensor, wavelength: Tensor, fwhm: Tensor) -> Tensor:
        """What the features of pixels say of any bands, measured or not.

        Args:
            features: of `dense`, shape (B, width, H, W).
            wavelength: centres (nm) of the bands asked for, shape (Q,).
            fwhm: full widths at half maximum (nm), NaN where unknown: the spacing; shape (Q,).

        Returns:
            Shape (B, H, W, Q, band_width).

        Raises:
            WavelengthError: a band has no centre in nanometres, or an impossible width.
        """
        centres = wavelength.to(features.device, torch.float64)
        code: Tensor = self.band_code(centres, known_widths(centres, fwhm.to(features.device, torch.float64)))
        scale, shift = code.chunk(2, 1)
        tokens: Tensor = self.band_features(features.permute(0, 2, 3, 1))[..., None, :] * (1 + scale) + shift
        return tokens

    def read_bands(self, features: Tensor, wavelength: Tensor, fwhm: Tensor, read: nn.Linear) -> Tensor:
        """One number for each of some bands of each pixel: a linear layer on the tokens of `query`, without making them.

        Args:
            features: see `query`.
            wavelength: see `query`.
            fwhm: see `query`.
            read: maps a token (band_width) to one number.

        Returns:
            Shape (B, Q, H, W), float32.

        Raises:
            WavelengthError: see `query`.
        """
        centres = wavelength.to(features.device, torch.float64)
        scale, shift = self.band_code(centres, known_widths(centres, fwhm.to(features.device, torch.float64))).chunk(2, 1)
        weights, offset = (1 + scale) * read.weight, shift @ read.weight[0] + read.bias
        numbers: Tensor = functional.linear(self.band_features(features.permute(0, 2, 3, 1)), weights, offset)
        return numbers.permute(0, 3, 1, 2).float()

    def _staged(self, x: Tensor, counted: Tensor | None, tokens: int) -> list[tuple[Tensor, Tensor | None]]:
        """The normalised maps (B, H, W, C) of all stages, and which of their pixels count."""
        maps = []
        for stage, norm in zip(self.stages, self.norms, strict=True):
            x, counted = stage(x, counted, tokens)
            maps.append((masked(norm(self._pooled(x, tokens)), counted), counted))
        return maps

    def _adapted(self, window: Tensor, wavelength: Tensor, fwhm: Tensor, valid: Tensor) -> tuple[Tensor, int]:
        """What the adapter makes of the window, shape (B * tokens, H, W, adapter's width), and the number of tokens."""
        if not (self.preset.by_token and isinstance(self.adapter, TokenAdapter)):
            return self.adapter(window, wavelength, fwhm, valid).permute(0, 2, 3, 1), 1
        tokens = self.adapter.tokens(window, wavelength, fwhm, valid)
        return fold_tokens(tokens), tokens.shape[3]

    def _pooled(self, x: Tensor, tokens: int) -> Tensor:
        """Tokens (B * tokens, H, W, C) as features of pixels (B, H, W, C), by the adapter's own pooling."""
        if not (self.preset.by_token and isinstance(self.adapter, TokenAdapter)):
            return x
        beside = unfold_tokens(x, tokens)
        pooled: Tensor = self.adapter.pool(self.adapter.norm(beside.flatten(0, 2)))
        return pooled.view(*beside.shape[:3], -1)


def _adapter(preset: Preset) -> Adapter:
    """The adapter of a preset; with `by_token`, one whose own blocks are left out: the stages do their work.

    Raises:
        OptionError: see `build_adapter`; or the adapter has no tokens where they are needed.
    """
    options = {"width": preset.channels[0], **preset.adapter_options}
    if preset.by_token and not issubclass(ADAPTERS.get(preset.adapter, TokenAdapter), TokenAdapter):
        raise _wrong(f"the adapter '{preset.adapter}' has no tokens for by_token")
    adapter = build_adapter(preset.adapter, **options, **({"depth": 0} if preset.by_token else {}))
    if preset.by_token and adapter.width != preset.channels[0]:
        raise _wrong(f"an adapter {adapter.width} wide: with by_token, it must be as wide as the stages, {preset.channels[0]}")
    return adapter


def _stages(preset: Preset, width: int) -> list[EncoderStage]:
    """The stages of a preset over an adapter `width` wide."""
    stages: list[EncoderStage] = []
    stride = 1
    rows = zip(preset.channels, preset.depths, preset.strides, preset.mixers, strict=True)
    for channels, depth, own_stride, mixers in rows:
        same = own_stride == stride and channels == width
        reduction = None if same else Reduction(width, channels, own_stride // stride)
        stages.append(EncoderStage(channels, depth, mixers, preset.feed_forward, preset.ratio, preset.position, reduction))
        width, stride = channels, own_stride
    if not preset.by_token and any(stage.by_token for stage in stages):
        raise _wrong("a mixer or feed-forward part that works on tokens needs by_token")
    return stages


def _enlarged(x: Tensor, factor: int) -> Tensor:
    """A map (B, H, W, C) with `factor` times the rows and columns, bilinear between the middles of its pixels."""
    if factor == 1:
        return x
    return functional.interpolate(x.permute(0, 3, 1, 2), scale_factor=factor, mode="bilinear").permute(0, 2, 3, 1)


def _plain(value: Any) -> Any:
    """A value with lists for tuples and dictionaries for mappings, as JSON has them."""
    if isinstance(value, Mapping):
        return {name: _plain(each) for name, each in value.items()}
    return [_plain(each) for each in value] if isinstance(value, (tuple, list)) else value


def _frozen(value: Any) -> Any:
    """The inverse of `_plain`."""
    if isinstance(value, Mapping):
        return {name: _frozen(each) for name, each in value.items()}
    return tuple(_frozen(each) for each in value) if isinstance(value, (tuple, list)) else value


def build_encoder(preset: str = "small", **changes: Any) -> Encoder:
    """An encoder with fresh weights.

    Args:
        preset: a key of `PRESETS`.
        **changes: attributes of `Preset` that differ from it.

    Raises:
        OptionError: no such preset or attribute, or options that do not go together.
    """
    if preset not in PRESETS:
        raise OptionError("encoder", f"there is no preset '{preset}'", f"There are {', '.join(PRESETS)}")
    row = {option.name: getattr(PRESETS[preset], option.name) for option in dataclasses.fields(Preset)}
    return Encoder.from_config({**row, **changes})
