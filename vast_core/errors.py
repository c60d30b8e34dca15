"""Every error that a user may see. Each message says what was wrong, where, and what to do."""

from __future__ import annotations

__all__ = [
    "SURROUNDINGS",
    "ComponentError",
    "InputError",
    "Interrupted",
    "MediaError",
    "MediaWarning",
    "NotComputed",
    "RecipeError",
    "StorageError",
    "VastError",
    "WeightsError",
]


class VastError(Exception):
    """Base class of errors that are explained in one message, without a traceback; ``exit_code`` is the program's."""

    exit_code = 1


class InputError(VastError):
    """The user's input is wrong: exit code 2."""

    exit_code = 2


class MediaError(InputError):
    """A video or sound file cannot be read, or lacks pictures or sound that are needed."""


class MediaWarning(UserWarning):
    """What was chosen or left out of a video or sound file that can be read in several ways."""


class UnreachableError(MediaError):
    """A file is missing or may not be read, or its disk is away; nothing is known of its content."""


class RecipeError(InputError):
    """One or more mistakes in a recipe, each at file:line:col."""


class WeightsError(InputError):
    """Weights are missing, damaged, or belong to other components."""


class ComponentError(InputError):
    """A component is unknown, ambiguous, or its plugin is broken."""


class Interrupted(VastError):
    """A signal asked to stop, such as that of Ctrl-C; the message says what was saved and how to continue."""

    def __init__(self, number: int, message: str) -> None:
        super().__init__(message)
        self.number, self.exit_code = number, 128 + number


class NotComputed(VastError):
    """A metric lacks what it needs; the message completes the sentence "not computed, because ..."."""


class StorageError(VastError):
    """A file could not be written; no partial file is left behind."""


SURROUNDINGS = (UnreachableError, RecipeError, WeightsError, ComponentError)
"""Those of the input errors that say nothing of a clip. Code that leaves out bad clips must let these end its work."""
