"""What deploy/ sets: keys the chart knows, a launcher Dagster takes, the limits of dagster.yaml.

The chart itself is not at hand, so its keys are noted here, as its values.schema.json has them at
version 1.13; a dict is an object with these keys and no others, None is whatever Kubernetes takes.
"""

import re
from pathlib import Path

import pytest
import yaml
from dagster._config import process_config
from dagster_k8s import K8sRunLauncher
from dagster_k8s.models import k8s_model_from_dict
from kubernetes import client

from crypto_pool import __version__

ROOT = Path(__file__).parent.parent
DEPLOY = ROOT / "deploy"
POD = dict.fromkeys(
    ("resources", "volumes", "volumeMounts", "podSecurityContext", "securityContext", "labels")
)
CHART = {
    "global": dict.fromkeys(("postgresqlSecretName", "dagsterHome", "serviceAccountName")),
    "generatePostgresqlPasswordSecret": None,
    "postgresql": {
        **dict.fromkeys(("image", "enabled", "postgresqlHost", "postgresqlUsername")),
        **dict.fromkeys(("postgresqlPassword", "postgresqlDatabase", "postgresqlParams")),
        "postgresqlScheme": None,
        "service": {"port": None},
    },
    "dagsterWebserver": {**POD, "replicaCount": None, "image": None, "env": None},
    "dagster-user-deployments": {
        **dict.fromkeys(("enabled", "enableSubchart", "imagePullSecrets")),
        "deployments": {
            **POD,
            **dict.fromkeys(("name", "dagsterApiGrpcArgs", "port", "env", "envSecrets")),
            "image": dict.fromkeys(("repository", "tag", "pullPolicy")),
            "includeConfigInLaunchedRuns": {"enabled": None},
        },
    },
    "runLauncher": {
        "type": None,
        "config": {
            "k8sRunLauncher": {
                **dict.fromkeys(("image", "imagePullPolicy", "jobNamespace", "kubeconfigFile")),
                **dict.fromkeys(("loadInclusterConfig", "envConfigMaps", "envSecrets", "envVars")),
                **dict.fromkeys(("volumes", "volumeMounts", "labels", "failPodOnRunFailure")),
                **dict.fromkeys(("resources", "schedulerName", "securityContext")),
                "runK8sConfig": dict.fromkeys(
                    ("containerConfig", "podSpecConfig", "podTemplateSpecMetadata",
                     "jobSpecConfig", "jobMetadata")
                ),
            }
        },
    },
    "dagsterDaemon": {
        **POD,
        **dict.fromkeys(("enabled", "image", "heartbeatTolerance", "env", "runMonitoring")),
        "runRetries": None,
        "runCoordinator": {
            "enabled": None,
            "type": None,
            "config": {
                "queuedRunCoordinator": dict.fromkeys(
                    ("maxConcurrentRuns", "tagConcurrencyLimits", "dequeueIntervalSeconds",
                     "dequeueNumWorkers", "dequeueUseThreads")
                )
            },
        },
    },
    "concurrency": {
        "enabled": None,
        "pools": dict.fromkeys(("defaultLimit", "granularity", "opGranularityRunBuffer")),
        "runs": dict.fromkeys(("maxConcurrentRuns", "tagConcurrencyLimits")),
    },
    "retention": {
        "enabled": None,
        "schedule": {"purgeAfterDays": None},
        "sensor": {"purgeAfterDays": dict.fromkeys(("skipped", "success", "failure", "started"))},
    },
    "telemetry": {"enabled": None},
}  # fmt: skip


@pytest.fixture(scope="module")
def values():
    return yaml.safe_load((DEPLOY / "helm" / "dagster-values.yaml").read_text())


def unknown_keys(given, known, path=""):
    if isinstance(given, list):
        return [fault for item in given for fault in unknown_keys(item, known, path)]
    if known is None or not isinstance(given, dict):
        return []
    faults = [f"{path}{key}" for key in given if key not in known]
    for key in given.keys() & known.keys():
        faults += unknown_keys(given[key], known[key], f"{path}{key}.")
    return faults


def in_snake_case(name):
    return re.sub(r"(?<!^)(?=[A-Z])", "_", name).lower()


def test_every_value_is_one_the_chart_knows(values):
    assert unknown_keys(values, CHART) == []
    wrong = {"runLauncher": {"config": {"k8sRunLauncher": {"image_pull_policy": "Always"}}}}
    assert unknown_keys(wrong, CHART) == ["runLauncher.config.k8sRunLauncher.image_pull_policy"]


def test_the_run_launcher_is_one_dagster_takes(values):
    chosen = values["runLauncher"]
    assert chosen["type"] == "K8sRunLauncher"
    given = {in_snake_case(key): value for key, value in chosen["config"]["k8sRunLauncher"].items()}
    given["run_k8s_config"] = {
        in_snake_case(key): value for key, value in given["run_k8s_config"].items()
    }
    by_the_chart = {
        "service_account_name": "crypto-pool",
        "instance_config_map": "crypto-pool-instance",
        "postgres_password_secret": values["global"]["postgresqlSecretName"],
        "dagster_home": "/opt/dagster/dagster_home",
    }
    taken = process_config(K8sRunLauncher.config_type(), {**given, **by_the_chart})
    assert taken.success, taken.errors
    assert taken.value["resources"]["limits"]["memory"]
    refused = process_config(K8sRunLauncher.config_type(), {**given, "limits": {}})
    assert not refused.success


def test_limits_are_those_of_a_single_machine(values):
    single = yaml.safe_load((ROOT / "dagster_home" / "dagster.yaml").read_text())
    runs, pools = values["concurrency"]["runs"], values["concurrency"]["pools"]
    assert runs["maxConcurrentRuns"] == single["concurrency"]["runs"]["max_concurrent_runs"]
    assert {in_snake_case(key): value for key, value in pools.items()} == (
        single["concurrency"]["pools"]
    )
    monitoring = values["dagsterDaemon"]["runMonitoring"]
    for key, value in monitoring.items():
        assert single["run_monitoring"][in_snake_case(key)] == value
    assert (
        values["dagsterDaemon"]["runRetries"]["maxRetries"] == single["run_retries"]["max_retries"]
    )


def test_every_pod_is_limited_and_no_secret_is_in_the_values(values):
    [code_server] = values["dagster-user-deployments"]["deployments"]
    launcher = values["runLauncher"]["config"]["k8sRunLauncher"]
    for pod in (values["dagsterWebserver"], values["dagsterDaemon"], code_server, launcher):
        resources = k8s_model_from_dict(client.V1ResourceRequirements, pod["resources"])
        assert resources.limits["memory"]
        assert resources.requests["cpu"]
    assert "postgresqlPassword" not in values["postgresql"]
    assert not [name for name in code_server["env"] if "KEY" in name or "URI" in name]


def test_settings_of_the_code_server_are_settings_of_the_pool(values):
    from crypto_pool.settings import Settings

    [code_server] = values["dagster-user-deployments"]["deployments"]
    fields = {name.removeprefix("CRYPTO_POOL_").lower() for name in code_server["env"]}
    assert fields <= set(Settings.model_fields)


def test_manifests_of_dask_are_objects_of_kubernetes():
    kinds = {
        "Service": (client.V1ServiceSpec, "ports"),
        "NetworkPolicy": (client.V1NetworkPolicySpec, "podSelector"),
        "Deployment": (client.V1DeploymentSpec, "template"),
    }
    found = list(yaml.safe_load_all((DEPLOY / "helm" / "dask.yaml").read_text()))
    assert [one["kind"] for one in found] == [
        "Service", "NetworkPolicy", "Deployment", "Deployment"
    ]  # fmt: skip
    for one in found:
        model, required = kinds[one["kind"]]
        unknown = set(one["spec"]) - set(model.attribute_map.values())
        assert not unknown
        assert required in one["spec"]
        if one["kind"] == "Deployment":
            [container] = one["spec"]["template"]["spec"]["containers"]
            assert not set(container) - set(client.V1Container.attribute_map.values())
            assert container["resources"]["limits"]["memory"]


def test_one_image_serves_the_code_the_runs_and_the_workers(values):
    [code_server] = values["dagster-user-deployments"]["deployments"]
    image = f"{code_server['image']['repository']}:{code_server['image']['tag']}"
    assert image in (DEPLOY / "Dockerfile").read_text()
    for one in yaml.safe_load_all((DEPLOY / "helm" / "dask.yaml").read_text()):
        if one["kind"] == "Deployment":
            [container] = one["spec"]["template"]["spec"]["containers"]
            assert container["image"] == image


def test_every_version_that_is_written_down_is_the_one_at_hand():
    pages = [ROOT / "docs" / "scale-out.md", *(one for one in DEPLOY.rglob("*") if one.is_file())]
    text = "\n".join(page.read_text() for page in pages)
    assert set(re.findall(r"crypto-pool:(\d[\w.]*)", text)) == {__version__}
    locked = re.search(r"^dagster==(.+)$", (ROOT / "requirements.lock").read_text(), re.M)
    assert locked is not None
    assert set(re.findall(r"dagster/dagster --version (\S+)", text)) == {locked[1]}
    newest = re.search(r"^## (\S+) \(", (ROOT / "CHANGELOG.md").read_text(), re.M)
    assert newest is not None
    assert newest[1] == __version__


def test_dagster_on_postgres_differs_in_its_storage_only():
    single = yaml.safe_load((ROOT / "dagster_home" / "dagster.yaml").read_text())
    shared = yaml.safe_load((DEPLOY / "dagster.postgres.yaml").read_text())
    assert shared.pop("storage") == {"postgres": {"postgres_url": {"env": "DAGSTER_POSTGRES_URL"}}}
    assert shared == single
