#!/usr/bin/python3
"""Speaks CRI to containerd, as a kubelet does.

cri.py run POD NAMESPACE UID CONTAINER [--label K=V]... [--annotation K=V]... [--tty] -- COMMAND...
                          a pod with one container; prints "SANDBOX_ID CONTAINER_ID"
                          --share-pid: the pod's containers share a pid namespace
                          --handler NAME: not the default one's; that of `systemd` makes systemd's cgroups
                          --cgroup-root NAME: below that cgroup, as kind's kubelet has it
                          --privileged: with hostPID, as an agent of the node; --mount DIR: with that of the node
cri.py add SANDBOX_ID POD NAMESPACE UID CONTAINER [--attempt N] [--share-pid] [--handler NAME] [--cgroup-root NAME]
           [--target CONTAINER_ID] -- COMMAND...
                          one more container in that pod; prints its ID. --target: as an ephemeral container
cri.py exec CONTAINER_ID -- COMMAND...    as `kubectl exec`; its output and exit status
cri.py wait CONTAINER_ID                  until it has ended; exit status: the container's
cri.py remove SANDBOX_ID                  stops and removes the pod

$CRI_SOCKET is containerd's, if it is not the usual one. The module cri_pb2 comes from cri.proto (tests/e2e/lib.sh makes it,
PYTHONPATH says where).
"""
import argparse
import os
import sys
import time

import cri_pb2
import grpc

SOCKET = "unix://" + os.environ.get("CRI_SOCKET", "/run/containerd/containerd.sock")
IMAGE = "localhost/busybox:1"


class Runtime:
    def __init__(self):
        self.channel = grpc.insecure_channel(SOCKET)

    def call(self, method, **fields):
        request = getattr(cri_pb2, method + "Request")(**fields)
        response = getattr(cri_pb2, method + "Response")
        rpc = self.channel.unary_unary("/runtime.v1.RuntimeService/" + method,
                                       request_serializer=type(request).SerializeToString,
                                       response_deserializer=response.FromString)
        return rpc(request, timeout=600, wait_for_ready=True)


def pairs(options):
    return dict(option.split("=", 1) for option in options)


def namespaces(args):
    # The node's network, so that no CNI plugin is needed.
    if args.target:
        return cri_pb2.NamespaceOption(network=cri_pb2.NODE, pid=cri_pb2.TARGET, target_id=args.target)
    pid = cri_pb2.NODE if args.privileged else cri_pb2.POD if args.share_pid else cri_pb2.CONTAINER
    return cri_pb2.NamespaceOption(network=cri_pb2.NODE, pid=pid)


def cgroup_parent(args):
    """As the kubelet's cgroup drivers call a pod's that asks for no resources (pkg/kubelet/cm: ToSystemd, ToCgroupfs)."""
    names = [*args.cgroup_root, "kubepods", "besteffort", f"pod{args.uid}"]
    if args.handler != "systemd":
        return "/" + "/".join(names)
    names = [name.replace("-", "_") for name in names]
    return "/" + "/".join("-".join(names[:i]) + ".slice" for i in range(1, len(names) + 1))


def sandbox_config(args):
    labels = {"io.kubernetes.pod.name": args.pod, "io.kubernetes.pod.namespace": args.namespace,
              "io.kubernetes.pod.uid": args.uid, **pairs(args.label)}
    return cri_pb2.PodSandboxConfig(
        metadata={"name": args.pod, "uid": args.uid, "namespace": args.namespace},
        log_directory=f"/var/log/pods/{args.namespace}_{args.pod}_{args.uid}",
        labels=labels, annotations=pairs(args.annotation),
        linux={"cgroup_parent": cgroup_parent(args),
               "security_context": {"namespace_options": namespaces(args), "privileged": args.privileged}})


def container_config(args):
    labels = {"io.kubernetes.pod.name": args.pod, "io.kubernetes.pod.namespace": args.namespace,
              "io.kubernetes.pod.uid": args.uid, "io.kubernetes.container.name": args.container}
    return cri_pb2.ContainerConfig(
        metadata={"name": args.container, "attempt": args.attempt}, image={"image": IMAGE}, command=args.command,
        labels=labels, annotations={"io.kubernetes.container.restartCount": str(args.attempt)},
        log_path=f"{args.container}/{args.attempt}.log", tty=args.tty,
        mounts=[{"container_path": path, "host_path": path} for path in args.mount],
        linux={"security_context": {"namespace_options": namespaces(args), "privileged": args.privileged}})


def start(runtime, args, sandbox, config):
    container = runtime.call("CreateContainer", pod_sandbox_id=sandbox, sandbox_config=config,
                             config=container_config(args)).container_id
    runtime.call("StartContainer", container_id=container)
    return container


def run(runtime, args):
    config = sandbox_config(args)
    sandbox = runtime.call("RunPodSandbox", config=config,
                           runtime_handler=args.handler).pod_sandbox_id
    print(sandbox, start(runtime, args, sandbox, config))


def add(runtime, args):
    print(start(runtime, args, args.id, sandbox_config(args)))


def execute(runtime, args):
    result = runtime.call("ExecSync", container_id=args.id, cmd=args.command, timeout=600)
    sys.stdout.buffer.write(result.stdout)
    sys.stderr.buffer.write(result.stderr)
    return result.exit_code


def wait(runtime, args):
    while True:
        status = runtime.call("ContainerStatus", container_id=args.id).status
        if status.state == cri_pb2.EXITED:
            return status.exit_code
        time.sleep(0.1)


def remove(runtime, args):
    runtime.call("StopPodSandbox", pod_sandbox_id=args.id)
    runtime.call("RemovePodSandbox", pod_sandbox_id=args.id)


def parse(argv):
    parser = argparse.ArgumentParser()
    verbs = parser.add_subparsers(required=True)
    for name, action in (("run", run), ("add", add)):
        verb = verbs.add_parser(name)
        for word in ("pod", "namespace", "uid", "container") if action is run else \
                ("id", "pod", "namespace", "uid", "container"):
            verb.add_argument(word)
        verb.add_argument("--label", action="append", default=[])
        verb.add_argument("--annotation", action="append", default=[])
        verb.add_argument("--tty", action="store_true")
        verb.add_argument("--attempt", type=int, default=0)
        verb.add_argument("--share-pid", action="store_true")
        verb.add_argument("--handler", default="")
        verb.add_argument("--cgroup-root", action="append", default=[])
        verb.add_argument("--privileged", action="store_true")
        verb.add_argument("--mount", action="append", default=[])
        verb.add_argument("--target", default="")
        verb.set_defaults(action=action)
    for name, action in (("exec", execute), ("wait", wait), ("remove", remove)):
        verb = verbs.add_parser(name)
        verb.add_argument("id")
        verb.set_defaults(action=action)
    split = argv.index("--") if "--" in argv else len(argv)
    args = parser.parse_args(argv[:split])
    args.command = argv[split + 1:]
    return args


def main():
    args = parse(sys.argv[1:])
    try:
        return args.action(Runtime(), args)
    except grpc.RpcError as error:
        print(f"cri.py: {error.details()}", file=sys.stderr)
        return 1


sys.exit(main())
