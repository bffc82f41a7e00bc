"""The probes by what they are about: each module declares some, with what they call."""
