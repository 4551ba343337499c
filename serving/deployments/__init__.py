"""Deployments of MLflow: `mlflow deployments -t torchserve` and `mlflow.deployments.get_deploy_client("torchserve")`.

plugin       client class, `run_local` and `target_help`: what MLflow looks for
changes      one deployment or endpoint, brought about in the registry and awaited at the gateway
found        deployments and endpoints as the registry and the gateway have them
config       values of `-C NAME=VALUE`
names        names of deployments and endpoints, and URIs of models and targets
predictions  rows as requests, and answers as MLflow's predictions
faults       errors of MLflow in place of ours
"""
