"""Active probes: test containers with the walls of running ones, and what is tried harmlessly inside them."""
