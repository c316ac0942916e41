#!/usr/bin/python3
"""unenriched.py PODS [NAMELESS] <RECORDS: of a cluster whose API server does not answer. PODS is of how many pods' containers records must be there,
at least (0: none may be). Each record of a pod has all its names, in whatever preset, says that the API server's part is missing, and has
nothing of it. Prints how many there are. Lines that are no records are others' to judge. With NAMELESS, a reason, names may be missing that only
the runtime's files tell: all of them, as of a container that lived while no agent did.
"""
import json
import sys
from records import *

NAMES = {
    "default": {"kubernetes.pod_name", "kubernetes.pod_namespace", "kubernetes.pod_uid", "kubernetes.pod_node_name", "host",
                "kubernetes.container_name", "kubernetes.container_id", "kubernetes.container_image", "container.runtime"},
    "fluentbit": {"kubernetes.pod_name", "kubernetes.namespace_name", "kubernetes.pod_id", "kubernetes.host", "kubernetes.container_name",
                  "kubernetes.docker_id", "kubernetes.container_image", "logtap.container.runtime"},
    "ecs": {"kubernetes.pod.name", "kubernetes.namespace", "kubernetes.pod.uid", "kubernetes.node.name", "kubernetes.container.name",
            "container.id", "container.image.name", "container.runtime"},
    "otel": {f"resource {name}" for name in ("k8s.pod.name", "k8s.namespace.name", "k8s.pod.uid", "k8s.node.name", "k8s.container.name",
                                             "container.id", "container.image.name", "container.runtime")},
}
CONTAINER = {"default": "kubernetes.container_id", "fluentbit": "kubernetes.docker_id", "ecs": "container.id", "otel": "resource container.id"}
RUNTIME = {preset: next(name for name in names if name.endswith("container.runtime")) for preset, names in NAMES.items()}
ENRICHED = {"default": "kubernetes.enriched", "fluentbit": "logtap.enriched", "ecs": "logtap.enriched", "otel": "resource logtap.enriched"}
# Told by the cgroup's name and the configuration.
OF_NO_FILE = ("pod_uid", "pod_id", "pod.uid", "container_id", "docker_id", "container.id", "node_name", "node.name", "host")
# What the node knows of a pod's container besides. All else there is the API server's.
OF_THE_NODE = {"kubernetes.restart_count", "resource k8s.container.restart_count"}
# The API server's, where they stand beside what is not of pods.
ADDED = ("logtap.workload.", "logtap.owner.", "logtap.service_account", "logtap.qos_class", "logtap.node_labels.",
         "logtap.container_image_id", "kubernetes_namespace.", "resource logtap.service_account", "resource container.image.id")
# CRI-O's files have them.
OF_CRIO = ("kubernetes.pod_labels.", "kubernetes.pod_annotations.", "kubernetes.labels.", "kubernetes.annotations.",
           "resource k8s.pod.labels.", "resource k8s.pod.annotations.")


def is_of_pod(fields):
    return any(name.startswith(("kubernetes.", "resource k8s.")) for name in fields)


def may_be_there(name, preset, runtime):
    if name in NAMES[preset] or name in OF_THE_NODE or name == ENRICHED[preset]:
        return True
    if runtime == "cri-o" and name.startswith(OF_CRIO):
        return True
    return not name.startswith(("kubernetes.", "resource k8s.") + ADDED)


def of_files(preset):
    return {name for name in NAMES[preset] if not name.endswith(OF_NO_FILE)}


def is_nameless(preset, fields):
    return not any(fields.get(name) for name in of_files(preset))


def judge(record, preset, fields):
    text = json.dumps(record)
    for name in sorted(NAMES[preset] - (of_files(preset) if nameless_may_be and is_nameless(preset, fields) else set())):
        if not fields.get(name):
            fail(f"without an API server: {name} is missing ({preset}): {shown(text)}")
    if fields.get(ENRICHED[preset]) is not False:
        fail(f"without an API server: {ENRICHED[preset]} is not false ({preset}): {shown(text)}")
    for name in fields:
        if not may_be_there(name, preset, fields.get(RUNTIME[preset])):
            fail(f"without an API server: who told {name}? ({preset}): {shown(text)}")


nameless_may_be = len(sys.argv) > 2 and sys.argv[2]
count, nameless, containers, presets = 0, 0, set(), set()
# What is said of a stream, between time and id, is the same in all its records: judged once, as there may be millions.
judged = {}
for line in sys.stdin.buffer:
    said = line.partition(b',"id":"')[0].partition(b",")[2]
    if said in judged:
        count += judged[said][0]
        nameless += judged[said][1]
        continue
    try:
        record = json.loads(line)
    except ValueError:
        continue
    fields = flat(record) if isinstance(record, dict) else {}
    if "source_type" in fields:
        judged[said] = (False, False)
    if not is_of_pod(fields):
        continue
    preset = preset_of(record)
    judge(record, preset, fields)
    judged_as = (True, is_nameless(preset, fields))
    if said in judged:
        judged[said] = judged_as
    count += 1
    nameless += judged_as[1]
    if not judged_as[1]:
        containers.add(fields[CONTAINER[preset]])
    presets.add(preset)
wanted = int(sys.argv[1])
if count and not wanted:
    fail(f"{count} records of pods: the case's head does not say `# pods: {len(containers)}`")
if len(containers) < wanted:
    fail(f"without an API server: records of {len(containers)} pods' containers, not of {wanted}")
print(f"without an API server: {count} records of {len(containers)} pods' containers, {nameless} without names, names: {' '.join(sorted(presets)) or 'none'}")
