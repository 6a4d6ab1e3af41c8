"""Whole rooms in one process, in virtual time, with every fault drawn from one seed: see ``tests.sim.play``."""
