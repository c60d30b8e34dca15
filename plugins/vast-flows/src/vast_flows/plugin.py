"""Declarations of vast-flows; imports no torch."""

from __future__ import annotations

from collections.abc import Iterable

from vast_core import Component, StageSpec, hookimpl

from .config import (
    CouplingConfig,
    HouseholderConfig,
    IAFConfig,
    NoFlowConfig,
    PlanarConfig,
    RadialConfig,
    SylvesterConfig,
)
from .experiments.config import DensitiesStage, DigitsStage


@hookimpl
def vast_components() -> Iterable[Component]:
    """Declare this package's components."""
    return [
        Component(
            kind="flow",
            name="none",
            target="vast_flows.none:NoFlow",
            config=NoFlowConfig,
            summary="the identity: the posterior stays a diagonal Gaussian",
        ),
        Component(
            kind="flow",
            name="householder",
            target="vast_flows.householder:HouseholderFlow",
            config=HouseholderConfig,
            summary="reflections amortised on the prompt: a full covariance without additional KL",
            reference="Tomczak & Welling 2016, Improving Variational Auto-Encoders using Householder Flow",
        ),
        Component(
            kind="flow",
            name="planar",
            target="vast_flows.planar:PlanarFlow",
            config=PlanarConfig,
            summary="planar maps amortised on the prompt: posteriors with several modes",
            reference="Rezende & Mohamed 2015, Variational Inference with Normalizing Flows",
        ),
        Component(
            kind="flow",
            name="radial",
            target="vast_flows.radial:RadialFlow",
            config=RadialConfig,
            summary="radial expansions and contractions around points amortised on the prompt; closed-form inverse",
            reference="Rezende & Mohamed 2015, Variational Inference with Normalizing Flows",
        ),
        Component(
            kind="flow",
            name="sylvester",
            target="vast_flows.sylvester:SylvesterFlow",
            config=SylvesterConfig,
            summary="planar maps in many directions at once, amortised on the prompt; three variants",
            reference="van den Berg et al. 2018, Sylvester Normalizing Flows for Variational Inference",
        ),
        Component(
            kind="flow",
            name="iaf",
            target="vast_flows.iaf:InverseAutoregressiveFlow",
            config=IAFConfig,
            summary="gates conditioned on the prompt and preceding components; fast forward, sequential inverse",
            reference="Kingma et al. 2016, Improving Variational Inference with Inverse Autoregressive Flow",
        ),
        Component(
            kind="flow",
            name="coupling",
            target="vast_flows.coupling:CouplingFlow",
            config=CouplingConfig,
            summary="one half scaled and shifted by the other and the prompt; inverse as fast as forward",
            reference="Dinh et al. 2017, Density estimation using Real NVP",
        ),
    ]


@hookimpl
def vast_stages() -> Iterable[StageSpec]:
    """Declare this package's stages."""
    return [
        StageSpec(
            name="densities",
            target="vast_flows.experiments.densities_stage",
            config=DensitiesStage,
            summary="flows of several lengths fitted to the four densities of Rezende & Mohamed 2015",
        ),
        StageSpec(
            name="digits",
            target="vast_flows.experiments.digits_stage",
            config=DigitsStage,
            summary="the bound of an autoencoder of handwritten digits with a flow posterior",
        ),
    ]
