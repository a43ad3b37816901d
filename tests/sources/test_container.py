"""container: the labels of the files that container runtimes write."""

import json

import pytest

from tailrace.limits import CONTAINER_FILE_BYTES_MAX
from tailrace.sources.container import labels_of

ID = "0123456789ab" + "c" * 52


@pytest.mark.parametrize(
    "path",
    [
        "/var/log/pods/shop_checkout-7d4b9_9f1c-22/web/0.log",
        "/var/log/pods/shop_checkout-7d4b9_9f1c-22/web/0.log.20261120-080000.gz",
        f"/var/log/containers/checkout-7d4b9_shop_web-{ID}.log",
    ],
)
def test_a_pod_is_known_from_its_path(path):
    assert labels_of(path) == {"namespace": "shop", "pod": "checkout-7d4b9", "container": "web", "service": "web"}


def docker(tmp_path, config):
    directory = tmp_path / "containers" / ID
    directory.mkdir(parents=True)
    if config is not None:
        (directory / "config.v2.json").write_text(config)
    return str(directory / f"{ID}-json.log")


def test_docker_says_how_the_container_is_called(tmp_path):
    config = {"Name": "/shop-web-1", "Config": {"Image": "shop:3", "Labels": {"com.docker.compose.service": "web"}}}
    labels = labels_of(docker(tmp_path, json.dumps(config)))
    assert labels == {"container": "shop-web-1", "service": "web", "image": "shop:3"}


@pytest.mark.parametrize(
    "config", [None, "no json", "[]", '{"Name": 3, "Config": []}', " " * (CONTAINER_FILE_BYTES_MAX + 1)]
)
def test_without_a_readable_word_of_docker_the_id_is_the_name(tmp_path, config):
    assert labels_of(docker(tmp_path, config)) == {"container": ID[:12], "service": ID[:12]}


def test_podman_says_how_the_container_is_called(tmp_path):
    directory = tmp_path / "overlay-containers"
    (directory / ID / "userdata").mkdir(parents=True)
    (directory / "containers.json").write_text(json.dumps([{"id": "other"}, {"id": ID, "names": ["db"]}]))
    assert labels_of(str(directory / ID / "userdata" / "ctr.log")) == {"container": "db", "service": "db"}


def test_another_file_is_no_containers():
    assert labels_of("/var/log/nginx/access.log") == {}
