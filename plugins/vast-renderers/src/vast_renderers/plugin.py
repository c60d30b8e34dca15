"""Declarations of vast-renderers; imports no torch."""

from __future__ import annotations

from collections.abc import Iterable

from vast_core import Component, hookimpl

from .config import CganConvLstmConfig, MeshConfig


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
            summary="the textured mesh over the background, the rest of the hole filled smoothly; no training",
            reference="Gortler et al. 1996, The Lumigraph (pull-push)",
        ),
    ]
