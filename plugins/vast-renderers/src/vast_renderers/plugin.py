"""Declarations of vast-renderers; imports no torch."""

from __future__ import annotations

from collections.abc import Iterable

from vast_core import Component, hookimpl

from .config import CganConvLstmConfig, MeshConfig, OwnFrameConfig


@hookimpl
def vast_components() -> Iterable[Component]:
    """Declare this package's components."""
    return [
        Component(
            kind="renderer",
            name="cgan_convlstm",
            target="vast_renderers.cgan_convlstm:CganConvLstm",
            config=CganConvLstmConfig,
            summary="personalised conditional GAN with a convolutional LSTM; sharpened by texture, skips and residual",
            reference="Chen et al. 2023, VAST, supplementary, section 2; Isola et al. 2017, pix2pix",
        ),
        Component(
            kind="renderer",
            name="mesh",
            target="vast_renderers.mesh:MeshRenderer",
            config=MeshConfig,
            summary="the moment's own frame, warped, with the most similar mouths of the footage; no training",
        ),
        Component(
            kind="renderer",
            name="own_frame",
            target="vast_renderers.own_frame:OwnFrame",
            config=OwnFrameConfig,
            summary="the moment's own frame, warped, with a mouth painted from the footage's most similar mouths",
        ),
    ]
