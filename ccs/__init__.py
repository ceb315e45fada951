"""Cycle-Consistent Search: train search agents on questions alone (arXiv 2604.12967).

``question -> rollout -> trajectory -> bottleneck -> reconstruction -> reward``: an agent searches, its trajectory is
stripped of the answer and its queries' named entities are masked, a frozen model reconstructs the question from what
is left, and the similarity to the real question is the reward. See
:mod:`ccs.agent.trajectory` for what a rollout leaves,
:mod:`ccs.rewards` for the reward and its audit, :mod:`ccs.retrieve` for the search engine.
"""
