"""Every error that a user may see. Each says what was wrong, where, and what to do."""

from __future__ import annotations


class VastError(Exception):
    """Base of all errors that are explained rather than traced; ``exit_code`` is that of the program."""

    exit_code = 1


class InputError(VastError):
    """What the user gave is wrong: exit code 2."""

    exit_code = 2


class MediaError(InputError):
    """A video or sound file cannot be read, or lacks what is needed."""


class RecipeError(InputError):
    """One or more mistakes in a recipe, each at file:line:col."""


class WeightsError(InputError):
    """Weights are missing, damaged, or belong to something else."""


class ComponentError(InputError):
    """A component is unknown, ambiguous, or its plugin is broken."""


class Interrupted(VastError):
    """The user pressed Ctrl-C; the message says what became of the work, and how to go on."""

    exit_code = 130


class NotComputed(VastError):
    """A metric lacks what it needs; the message ends the sentence "not computed, because ..."."""


class StorageError(VastError):
    """A file could not be written; nothing half-written is left behind."""
