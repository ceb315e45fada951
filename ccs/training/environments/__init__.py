"""The agent's environment and its reward in other trainers' terms: verifiers and SkyRL-Gym.

Each module imports its own package, so that neither is needed where it is not used. Both are thin:
:class:`ccs.agent.environment.Environment` acts, and a reward of :mod:`ccs.rewards` scores the record that it kept.
"""
