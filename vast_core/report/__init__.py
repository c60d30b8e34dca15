"""Pages with figures, and the statistics behind them."""

from __future__ import annotations

from .page import (
    Block,
    Cell,
    Figure,
    Folded,
    FrameStrip,
    Listing,
    Order,
    Ranked,
    Rejected,
    Section,
    Table,
    Text,
    Verdict,
    Video,
    write_report,
)
from .plots import COLOURS, INK, LINE, SOFT, drawing, plot_bars, plot_curves, plot_losses, readable, to_svg
from .statistics import CONFIDENCE, Estimate, Evidence, estimate, evidence_of, holm
from .summary import write_run_report

__all__ = [
    "COLOURS",
    "CONFIDENCE",
    "INK",
    "LINE",
    "SOFT",
    "Block",
    "Cell",
    "Estimate",
    "Evidence",
    "Figure",
    "Folded",
    "FrameStrip",
    "Listing",
    "Order",
    "Ranked",
    "Rejected",
    "Section",
    "Table",
    "Text",
    "Verdict",
    "Video",
    "drawing",
    "estimate",
    "evidence_of",
    "holm",
    "plot_bars",
    "plot_curves",
    "plot_losses",
    "readable",
    "to_svg",
    "write_report",
    "write_run_report",
]
