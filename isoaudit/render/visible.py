r"""Making hostile text inert: what a container names may hold escape sequences, newlines, bidi overrides."""

from __future__ import annotations

import re

# What acts or hides on a terminal or in a browser: control, format and separator characters, the marks that
# reorder text (Unicode TR36, TR39), fillers and variation selectors, no-break and other odd spaces, and lone
# surrogates, which no encoder takes.
HIDDEN = re.compile(
    "[\x00-\x1f\x7f-\xa0\xad\u034f\u0600-\u0605\u061c\u06dd\u070f\u0890\u0891\u08e2\u115f\u1160\u1680\u17b4\u17b5"
    "\u180b-\u180f\u2000-\u200f\u2028-\u202f\u205f-\u206f\u3000\u3164\ufe00-\ufe0f\ufeff\uffa0\ufff0-\uffff"
    "\ud800-\udfff\U000110bd\U000110cd\U00013430-\U0001345f\U0001bca0-\U0001bca3\U0001d173-\U0001d17a"
    "\U000e0000-\U000e0fff]"
)


def visible(text: str) -> str:
    r"""Text in which nothing acts: a newline shows as `\n`, an escape as `\x1b`, an override as `\u202e`."""
    return HIDDEN.sub(lambda match: match[0].encode("unicode_escape").decode("ascii"), text)
