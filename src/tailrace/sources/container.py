r"""Containers: who speaks in a log file that a container runtime writes, from its path and the files beside it.

    .../pods/NAMESPACE_POD_UID/CONTAINER/N.log          Kubernetes (containerd, CRI-O)
    .../containers/POD_NAMESPACE_CONTAINER-ID.log       its links to them
    .../containers/ID/ID-json.log                       Docker; ``config.v2.json`` beside it names the container, and
                                                        its labels the service of a compose project
    .../overlay-containers/ID/userdata/ctr.log          Podman; ``containers.json`` two directories above names it

A file beside a log that is missing, too large or not understood leaves the first letters of the id as the name.
"""

from __future__ import annotations

import os
import re
from typing import Any

import orjson

from tailrace.limits import CONTAINER_FILE_BYTES_MAX

_POD = re.compile(r"/pods/(?P<namespace>[^/_]+)_(?P<pod>[^/_]+)_[^/_]+/(?P<container>[^/]+)/[^/]+\Z")
_LINK = re.compile(r"/containers/(?P<pod>[^/_]+)_(?P<namespace>[^/_]+)_(?P<container>[^/]+)-[0-9a-f]{64}\.log[^/]*\Z")
_DOCKER = re.compile(r"(?P<directory>.*/containers/(?P<id>[0-9a-f]{64}))/(?P=id)-json\.log[^/]*\Z")
_PODMAN = re.compile(r"(?P<directory>.*/overlay-containers)/(?P<id>[0-9a-f]{64})/userdata/ctr\.log[^/]*\Z")
_SHORT_ID = 12
_COMPOSE_SERVICE = "com.docker.compose.service"


def labels_of(path: str) -> dict[str, str]:
    """Return the labels of a container's log file, none for any other. Reads the files beside it."""
    found = _POD.search(path) or _LINK.search(path)
    if found:
        return {**found.groupdict(), "service": found["container"]}
    found = _DOCKER.match(path)
    if found:
        return _docker(found["directory"], found["id"])
    found = _PODMAN.match(path)
    return _podman(found["directory"], found["id"]) if found else {}


def _docker(directory: str, id_: str) -> dict[str, str]:
    config = _json(f"{directory}/config.v2.json")
    name = _text(config, "Name").strip("/") or id_[:_SHORT_ID]
    inner = config.get("Config") if isinstance(config, dict) else None
    labels = inner.get("Labels") if isinstance(inner, dict) else None
    found = {"container": name, "service": _text(labels, _COMPOSE_SERVICE) or name, "image": _text(inner, "Image")}
    return {label: text for label, text in found.items() if text}


def _podman(directory: str, id_: str) -> dict[str, str]:
    listed = _json(f"{directory}/containers.json")
    for one in listed if isinstance(listed, list) else []:
        names = one.get("names") if isinstance(one, dict) and one.get("id") == id_ else None
        if isinstance(names, list) and names and isinstance(names[0], str):
            return {"container": names[0], "service": names[0]}
    return {"container": id_[:_SHORT_ID], "service": id_[:_SHORT_ID]}


def _text(values: Any, key: str) -> str:
    value = values.get(key) if isinstance(values, dict) else None
    return value if isinstance(value, str) else ""


def _json(path: str) -> Any:
    try:
        with open(path, "rb") as file:
            if os.fstat(file.fileno()).st_size > CONTAINER_FILE_BYTES_MAX:
                return None
            return orjson.loads(file.read(CONTAINER_FILE_BYTES_MAX))
    except (OSError, orjson.JSONDecodeError):
        return None
