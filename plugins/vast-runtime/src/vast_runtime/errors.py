"""The one error of this package."""

from __future__ import annotations


class AvatarError(Exception):
    """Something that the user can mend: a wrong file, a name that does not exist, a full disk."""
