"""The avatar at work: style prompts and speech, without trainer, metrics or corpus.

Import from the modules of this package. The package itself imports none of them, because the key of a stage covers what
the stage imports: an edit of ``perform`` must not train the style anew.
"""

from __future__ import annotations
