"""Avatars of vast, speaking without torch: numpy, onnxruntime, PyAV and OpenCV alone.

::

    import vast_runtime

    avatar = vast_runtime.load("ann.vast")  # a file of `vast pack --format onnx`
    avatar.write("out.mp4", "speech.wav", avatar.style("happy"))
"""

from __future__ import annotations

from .avatar import Avatar, Style, load
from .errors import AvatarError

__all__ = ["Avatar", "AvatarError", "Style", "__version__", "load"]

__version__ = "0.1.0"
