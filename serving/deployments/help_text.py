"""Help of `mlflow deployments help -t torchserve`."""

from typing import Final

HELP: Final = """\
Target `torchserve`: registered versions of deephypebot's models, live at its gateway.

Target URI
  torchserve               the gateway of DEEPHYPEBOT_TARGET, or 127.0.0.1:50051
  torchserve:/HOST:PORT    the gateway at that address
The registry is that of MLFLOW_TRACKING_URI, or workspace/mlflow.db; the gateway must follow the same one
(`deephypebot serve`).

Deployment   a version that the registry keeps live, under a name of yours: `predict --name NAME` asks it alone.
             Versions that `deephypebot models` made live are named MODEL-VERSION, as in lcgan-2.
Endpoint     a registered model with a champion: `predict --endpoint MODEL` asks the version that the split gives.

create, update: -m models:/lcgan/2, models:/lcgan@challenger or runs:/RUN_ID/model, and
  -C weight=20        percent of the endpoint's requests; the champion answers the rest
  -C ramp="to=50 step=10 every=30m"    a share that grows or shrinks step by step, from its own or from=PERCENT
  -C champion=true    the version answers what no weight gives to others (the first of an endpoint always does)
  -C shadow=true      it gets copies of the requests, and nobody sees its answers
  -C wait=false       do not wait until the gateway has it
  -C timeout_s=120    longest wait, in seconds
create-endpoint, update-endpoint:
  -C champion=NAME    the deployment or version that answers; a split ends
  -C split="1=80 2=20"  weights of deployments or versions, or end
  -C salt=TEXT        deal all units out again
run-local: -C port=50051, -C workspace=DIR, -C ready_file=PATH, -C poll=1

predict -I FILE: JSON records, one request each: [{"genres": ["ambient"], "num_samples": 2, "seed": 7}]. The fields are
those of the gateway's requests. Every sample is a row of the answer, with the number of its request.

Examples
  mlflow deployments create -t torchserve --name blue -m models:/lcgan/2 -C weight=20
  mlflow deployments predict -t torchserve --name blue -I requests.json
  mlflow deployments update -t torchserve --name blue -m models:/lcgan/3
  mlflow deployments update-endpoint -t torchserve --endpoint lcgan -C champion=blue
  mlflow deployments delete -t torchserve --name blue
"""
