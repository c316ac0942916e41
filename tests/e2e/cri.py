#!/usr/bin/python3
"""Speaks CRI to containerd, as a kubelet does.

cri.py run POD NAMESPACE UID CONTAINER [--label K=V]... [--annotation K=V]... [--tty] -- COMMAND...
                          a pod with one container; prints "SANDBOX_ID CONTAINER_ID"
cri.py exec CONTAINER_ID -- COMMAND...    as `kubectl exec`; its output and exit status
cri.py wait CONTAINER_ID                  until it has ended; exit status: the container's
cri.py remove SANDBOX_ID                  stops and removes the pod

The module cri_pb2 comes from cri.proto (tests/e2e/lib.sh makes it, PYTHONPATH says where).
"""
import argparse
import sys
import time

import cri_pb2
import grpc

SOCKET = "unix:///run/containerd/containerd.sock"
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
        return rpc(request, timeout=60, wait_for_ready=True)


def pairs(options):
    return dict(option.split("=", 1) for option in options)


def node_namespaces():
    # The node's network, so that no CNI plugin is needed.
    return cri_pb2.NamespaceOption(network=cri_pb2.NODE)


def sandbox_config(args):
    labels = {"io.kubernetes.pod.name": args.pod, "io.kubernetes.pod.namespace": args.namespace,
              "io.kubernetes.pod.uid": args.uid, **pairs(args.label)}
    return cri_pb2.PodSandboxConfig(
        metadata={"name": args.pod, "uid": args.uid, "namespace": args.namespace},
        log_directory=f"/var/log/pods/{args.namespace}_{args.pod}_{args.uid}",
        labels=labels, annotations=pairs(args.annotation),
        linux={"cgroup_parent": f"/kubepods/besteffort/pod{args.uid}",
               "security_context": {"namespace_options": node_namespaces()}})


def container_config(args):
    labels = {"io.kubernetes.pod.name": args.pod, "io.kubernetes.pod.namespace": args.namespace,
              "io.kubernetes.pod.uid": args.uid, "io.kubernetes.container.name": args.container}
    return cri_pb2.ContainerConfig(
        metadata={"name": args.container}, image={"image": IMAGE}, command=args.command,
        labels=labels, annotations={"io.kubernetes.container.restartCount": "0"},
        log_path=f"{args.container}/0.log", tty=args.tty,
        linux={"security_context": {"namespace_options": node_namespaces()}})


def run(runtime, args):
    config = sandbox_config(args)
    sandbox = runtime.call("RunPodSandbox", config=config).pod_sandbox_id
    container = runtime.call("CreateContainer", pod_sandbox_id=sandbox, sandbox_config=config,
                             config=container_config(args)).container_id
    runtime.call("StartContainer", container_id=container)
    print(sandbox, container)


def execute(runtime, args):
    result = runtime.call("ExecSync", container_id=args.id, cmd=args.command, timeout=30)
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
    verb = verbs.add_parser("run")
    for name in ("pod", "namespace", "uid", "container"):
        verb.add_argument(name)
    verb.add_argument("--label", action="append", default=[])
    verb.add_argument("--annotation", action="append", default=[])
    verb.add_argument("--tty", action="store_true")
    verb.set_defaults(action=run)
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
