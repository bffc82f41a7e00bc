r"""Making hostile text inert: what a container names may hold escape sequences, newlines, bidi overrides."""

from __future__ import annotations

import re

# C0 and C1 controls; the marks and overrides that reorder or hide text (Unicode TR36, TR39); line and
# paragraph separators; lone surrogates and private use are left to the encoder.
_DANGEROUS = re.compile(
    "[\x00-\x1f\x7f-\x9f\u00ad\u061c\u115f\u1160\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\u3164\ufe00-\ufe0f\ufeff\ufff9-\ufffb\U000e0000-\U000e0fff]"
)


def visible(text: str) -> str:
    r"""Text in which nothing acts: a newline shows as \n, an escape as \x1b, an override as \u202e."""
    return _DANGEROUS.sub(lambda match: match[0].encode("unicode_escape").decode("ascii"), text)
