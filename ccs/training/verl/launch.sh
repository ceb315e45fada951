#!/usr/bin/env bash
# Train on one or several nodes. Run it on every node, with the same arguments:
#
#   NODES=4 NODE=0 HEAD=10.0.0.1 launch.sh data.train_files=... data.val_files=... ccs.retriever=http://...
#
# Under Slurm the three come from it:  srun --ntasks-per-node=1 launch.sh ...
# Arguments are those of `python -m ccs.training.verl`. Every node needs the same virtualenv, the model, and the data at
# the same paths. Node 0 starts Ray's head, waits for the others, trains, and ends Ray; the others end with it.
set -euo pipefail

NODES=${NODES:-${SLURM_NNODES:-1}}
NODE=${NODE:-${SLURM_NODEID:-0}}
GPUS=${GPUS:-8}
PORT=${PORT:-6379}
PATIENCE=${PATIENCE:-600} # seconds for all nodes to join
PYTHON=${PYTHON:-python}
RAY=${RAY:-ray}

if [[ -z ${HEAD:-} ]]; then
  if [[ -n ${SLURM_JOB_NODELIST:-} ]]; then
    HEAD=$(scontrol show hostnames "$SLURM_JOB_NODELIST" | head -n 1)
  elif ((NODES == 1)); then
    HEAD=127.0.0.1
  else
    echo "error: HEAD is missing; give the address of node 0 as the other nodes reach it" >&2
    exit 2
  fi
fi

if ((NODE > 0)); then
  # The head may not be up yet.
  deadline=$((SECONDS + PATIENCE))
  until "$RAY" start --address="$HEAD:$PORT" --num-gpus="$GPUS" --block; do
    if ((SECONDS >= deadline)); then
      echo "error: no head of Ray at $HEAD:$PORT within $PATIENCE s" >&2
      exit 1
    fi
    sleep 5
  done
  exit 0
fi

"$RAY" start --head --node-ip-address="$HEAD" --port="$PORT" --num-gpus="$GPUS" --disable-usage-stats
trap '"$RAY" stop' EXIT
export RAY_ADDRESS="$HEAD:$PORT"

"$PYTHON" - "$((NODES * GPUS))" "$PATIENCE" <<'PYTHON'
import sys
import time

import ray

wanted, patience = int(sys.argv[1]), float(sys.argv[2])
ray.init(address="auto", log_to_driver=False)
deadline = time.monotonic() + patience
while (found := int(ray.cluster_resources().get("GPU", 0))) < wanted:
    if time.monotonic() > deadline:
        sys.exit(f"error: {found} of {wanted} GPUs have joined within {patience:.0f} s; are all nodes up?")
    time.sleep(2)
PYTHON

"$PYTHON" -m ccs.training.verl trainer.nnodes="$NODES" trainer.n_gpus_per_node="$GPUS" "$@"
