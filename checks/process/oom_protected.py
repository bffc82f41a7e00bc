"""Spared when memory runs out.

## What it detects
`oom_score_adj` of the first process is below 0.

## Why it matters
When the host's memory runs out the kernel kills others in its place, the engine and other containers among
them. At -1000 it is never killed, not even where it alone used the memory up.

## Remediation
Leave the score at 0 or above.

- docker, podman: leave out `--oom-score-adj` below 0
- compose: remove `oom_score_adj`
- Kubernetes: -997 belongs to the Guaranteed class (limits equal to requests); use it for what the node needs
- systemd: `OOMScoreAdjust=0`

## When it is fine
What the host cannot live without, with a memory limit of its own.

## References
- proc_pid_oom_score_adj(5)
"""

from isoaudit import Container, Evidence, Outcome, check, fail, passed, require

NEVER = -1000  # OOM_SCORE_ADJ_MIN


@check(severity="low")
def oom_protected(container: Container) -> Outcome:
    score = require(container.oom_score_adj)
    evidence = [Evidence(container.oom_score_adj.source, str(score), "0 or more")]
    if score <= NEVER:
        return fail("it is never killed when memory runs out: all else is", evidence, severity="medium")
    if score < 0:
        return fail(f"others are killed before it when memory runs out (oom_score_adj {score})", evidence)
    return passed(f"it is not spared when memory runs out (oom_score_adj {score})", evidence)
