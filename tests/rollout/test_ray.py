"""Rollouts on a Ray cluster of two nodes, one of whose actors is killed."""

import asyncio
import os
import signal
import socket
import subprocess
import sys

import pytest
import ray
from ray.cluster_utils import Cluster

from agentgym.core.errors import ConfigError
from agentgym.core.policy import PolicySpec
from agentgym.rollout.run import RunConfig, run
from agentgym.rollout.storage import read_timing
from rollout.test_storage import contents

pytestmark = pytest.mark.filterwarnings("ignore")

CONFIG = RunConfig(
    "agentgym/ShoppingTiny-v0",
    PolicySpec("scripted", {"mistake_rate": 0.3}),
    episodes=300,
    group_size=4,
    inject="policy=0.05,tool=0.05,env=0.02",
)


with socket.socket() as _probe:
    _probe.bind(("127.0.0.1", 0))
    PORT = _probe.getsockname()[1]
"""Where clients connect: ray://127.0.0.1:PORT."""


@pytest.fixture(scope="module")
def cluster():
    head = {"num_cpus": 1, "object_store_memory": 100 << 20, "ray_client_server_port": PORT}
    nodes = Cluster(initialize_head=True, head_node_args=head)
    nodes.add_node(num_cpus=1, object_store_memory=100 << 20)
    ray.init(address=nodes.address, log_to_driver=False)
    yield nodes
    ray.shutdown()
    nodes.shutdown()


@pytest.fixture(scope="module")
def reference(tmp_path_factory):
    path = tmp_path_factory.mktemp("ray") / "here"
    asyncio.run(run(CONFIG, path))
    return contents(path)


def test_records_equal_those_of_one_process(cluster, reference, tmp_path):
    tally = asyncio.run(run(CONFIG, tmp_path, workers="ray", concurrency=16))
    assert tally.episodes == 300
    assert contents(tmp_path) == reference
    assert len({row["host"] for row in read_timing(tmp_path).values()}) == 2


def test_a_cluster_is_reached_by_its_address(cluster, reference, tmp_path):
    script = f"""
import asyncio, pathlib
from rollout.test_ray import CONFIG
from agentgym.rollout.run import run
asyncio.run(run(CONFIG, pathlib.Path({str(tmp_path)!r}), workers="ray://127.0.0.1:{PORT}?workers=2", concurrency=16))
"""
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    subprocess.run([sys.executable, "-c", script], env=env, check=True, timeout=300)
    assert contents(tmp_path) == reference


def test_an_actor_that_is_killed_costs_only_what_was_in_flight(cluster, reference, tmp_path):
    killed = []

    def on_episode(record, tally, stored):
        if stored == 100 and not killed:
            host = next(iter(read_timing(tmp_path).values()))["host"]
            killed.append(int(host.rpartition(":")[2]))
            os.kill(killed[0], signal.SIGKILL)

    asyncio.run(run(CONFIG, tmp_path, workers="ray:2", concurrency=16, on_episode=on_episode))
    assert killed
    timing = read_timing(tmp_path)
    assert 0 < sum(row["deaths"] for row in timing.values()) <= 8
    assert len({row["host"] for row in timing.values()}) == 3
    assert contents(tmp_path) == reference


def test_a_node_that_goes_away(cluster, reference, tmp_path):
    node = cluster.add_node(num_cpus=2, object_store_memory=100 << 20)
    gone = []

    def on_episode(record, tally, stored):
        if stored == 60 and not gone:
            gone.append(node)
            cluster.remove_node(node, allow_graceful=False)

    tally = asyncio.run(run(CONFIG, tmp_path, workers="ray:3", concurrency=12, on_episode=on_episode))
    assert gone
    assert tally.episodes == 300
    assert contents(tmp_path) == reference


def test_mistakes_reach_the_user(cluster, tmp_path):
    wrong = RunConfig("agentgym/ShoppingTiny-v0", PolicySpec("scripted", {"mistake_rate": 7}), episodes=4)
    with pytest.raises(ConfigError, match="mistake_rate must be a probability"):
        asyncio.run(run(wrong, tmp_path, workers="ray:1"))


@pytest.mark.parametrize(("workers", "variable"), [("ray://127.0.0.1:9", ""), ("ray", "127.0.0.1:9")])
def test_a_cluster_that_is_not_there_is_one_line_at_once(tmp_path, workers, variable):
    command = [sys.executable, "-m", "agentgym.cli.main", "rollout", "--env", "ShoppingTiny-v0", "--policy", "scripted"]
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path), "RAY_ADDRESS": variable}
    command += ["--out", str(tmp_path / "run"), "--workers", workers]
    done = subprocess.run(command, capture_output=True, text=True, env=env, timeout=60)
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1 and "There is no Ray cluster at" in done.stderr
    assert not (tmp_path / "run").exists()
