"""The deterministic simulation: the real engine against simulated machines, networks and people."""
