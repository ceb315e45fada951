"""The agent and the reward of ``ccs`` inside verl, for policies that need a cluster: no engine of our own.

Written for verl 0.9.1 and its V1 trainer. verl keeps a virtualenv of its own, since its engines pin torch and
transformers; ``pip install 'fresco-ccs[verl]'`` goes there. The parts:

- :mod:`~ccs.training.verl.data`: questions to the Parquet file that verl reads.
- :mod:`~ccs.training.verl.agent_loop`: the rollout, on the environment and protocol of ``ccs rollout``.
- :mod:`~ccs.training.verl.reward`: any reward of :mod:`ccs.rewards` that looks at one trajectory at a time.
- :mod:`~ccs.training.verl.sampler`: what is watched, and what becomes of rollouts that failed.
- ``config.yaml``, ``launch.sh`` and ``python -m ccs.training.verl``, which refuses what verl would let pass in silence.

Nothing here has run on GPUs yet: the loop, the mask, the reward, the sampler and verl's validation of the config ran
on a CPU, under verl's own classes, with a scripted token server in the place of vLLM. Not run: the engines themselves
(vLLM, FSDP, NCCL), several nodes, and so memory, speed, and whether a 7B policy learns.
"""
