"""Stand-in for KubeCluster of dask-kubernetes: starts here what the operator would start in pods of a cluster."""

import subprocess
from contextlib import ExitStack
from importlib.resources import files
from types import TracebackType
from typing import Any, Self

import jsonschema
import yaml
from dask_kubernetes.operator.controller import controller

_DEFINITION = "operator/deployment/helm/dask-kubernetes-operator/crds/daskcluster.yaml"


class KubeCluster:
    """Scheduler and workers of a manifest, which must agree with the definition of the resource."""

    def __init__(self, custom_cluster_spec: dict[str, Any]) -> None:
        definition = yaml.safe_load((files("dask_kubernetes") / _DEFINITION).read_text())
        (version,) = definition["spec"]["versions"]
        jsonschema.validate(custom_cluster_spec, version["schema"]["openAPIV3Schema"])
        name, spec = custom_cluster_spec["metadata"]["name"], custom_cluster_spec["spec"]
        self._processes = ExitStack()
        pod = controller.build_scheduler_deployment_spec(name, spec["scheduler"]["spec"], {}, {})
        self.scheduler_address = "tcp://127.0.0.1:38786"
        self._start(pod, ["--port", "38786", "--dashboard-address", ":0"])
        for number in range(spec["worker"]["replicas"]):
            pod = controller.build_worker_deployment_spec("w", "n", name, str(number), spec["worker"]["spec"], {}, {})
            self._start(pod, ["--dashboard-address", ":0"])

    def _start(self, deployment: dict[str, Any], more: list[str]) -> None:
        """Start the container of a deployment; what `more` sets would collide with other programs on one computer."""
        (container,) = deployment["spec"]["template"]["spec"]["containers"]
        variables = {variable["name"]: variable["value"] for variable in container["env"]}
        words = [variables.get(word.removeprefix("$(").removesuffix(")"), word) for word in container["args"]]
        found = [f"{name}={value}" for name, value in variables.items() if name != "DASK_SCHEDULER_ADDRESS"]
        command = ["env", f"DASK_SCHEDULER_ADDRESS={self.scheduler_address}", *found, *words, *more]
        self._processes.callback(subprocess.Popen(command).terminate)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._processes.close()
