# Shows each set of names (record.names) on real containers and a file, changed by SIGHUP under a container that goes on: the
# records have the fields that Vector's, Fluent Bit's, Filebeat's and the OpenTelemetry collector's users look for, those of
# one stream change with its next line, and records over the broker's limit are cut and marked in each. Then the same with
# some fields denied, or few allowed (record.fields): those are missing, and no others; not with -e API=..., where all names must
# be there. Where the machine is comes from the environment, as in conf/logtap.yaml.
# needs: logtap kafka
# topics: records:1:12000
# timeout: 240
# pods: 5

PRESETS="default fluentbit ecs otel"

# configure PRESET [FIELDS]
configure()
{
	kafka_config records /run/names.yaml <<-END
		node: node-1
		capture: {files: [/var/log/names/*.log]}
		record: {names: $1, host: [machine_id, boot_id, cloud, os], fields: {${2-}}}
		$(sed -n '/^cloud:/,/^$/p' "$REPO/conf/logtap.yaml")
	END
}

# What is left of the preset's fields; see check.
fewer()
{
	case $1 in
	default) echo 'deny: [process.uid, process.tid, container, kubernetes.pod_uid, "*image*", host_id, cloud.zone]' ;;
	fluentbit) echo 'allow: [kubernetes.pod_name, logtap.cloud.instance_id, logtap.process.name]' ;;
	ecs) echo 'deny: [user, process.thread, container, kubernetes.pod.uid, host.id, cloud]' ;;
	otel) echo 'allow: [k8s.pod.*, process.pid, host.id], deny: [k8s.pod.uid]' ;;
	esac
}

. "$REPO/tests/e2e/lines.sh"

loaded_anew()
{
	[ "$(grep -c "loaded anew" "$OUT/logtap.err")" = "$1" ]
}

# seen TEXT...: all of them have come.
seen()
{
	local text

	consume records >/run/seen
	for text; do
		grep -q "$text" /run/seen || return 1
	done
}

# reload PRESET [FIELDS]
reload()
{
	configure "$@"
	kill -HUP "${LOGTAP_PIDS[logtap]}"
	reloads=$((reloads + 1))
	wait_for "the configuration to be loaded anew" 60 loaded_anew "$reloads"
}

# web NAME: a pod whose record of stderr is like the others', and whose record of stdout is cut.
web()
{
	number=$((number + 1))
	bundle -p "web-$1" -n shop -u 8a3bf2b1-0c4d-4e5f-9a6b-7c8d9e0f1a2b -c web -i "registry.test:5000/shop/web:1.2" \
		"$(printf %063d 1)$number" sh -c "echo 'GET \"/\" $1' >&2; printf '%020000d\\n' 0"
	container_run "$(printf %063d 1)$number"
}

guest()
{
	local preset id number=-1 reloads=0

	export CLOUD_PROVIDER=aws CLOUD_INSTANCE_ID=i-07 CLOUD_REGION=eu-west-1 CLOUD_ZONE=eu-west-1b CLOUD_ACCOUNT=4711
	mkdir -p /srv/steady /var/log/names
	[ -s /etc/machine-id ] || echo 00112233445566778899aabbccddeeff >/etc/machine-id
	cp /etc/machine-id "$OUT/machine-id"
	cp /proc/sys/kernel/random/boot_id "$OUT/boot-id"
	id=$(printf %064d 99)
	# shellcheck disable=SC2016 # expanded in the container
	bundle -p steady-0 -n shop -u 7c9e6679-7425-40de-944b-e07fc1f90ae7 -c main -m /srv/steady:/mnt "$id" \
		sh -c 'until [ -e /mnt/stop ]; do for i in /mnt/steady*; do [ -e "$i" ] && rm "$i" && echo "${i##*/}"; done; sleep 0.1; done'
	for preset in $PRESETS; do
		if [ "$preset" = default ]; then
			configure "$preset"
			logtap_start logtap /run/names.yaml
			container_start "$id"
		else
			reload "$preset"
		fi
		: >"/srv/steady/steady $preset"
		web "$preset"
		bundle "lone-$preset" echo "lone $preset"
		container_run "lone-$preset"
		echo "file $preset" >"/var/log/names/$preset.log"
		wait_for "the lines of $preset" 60 seen "steady $preset" "file $preset" "lone $preset"
		[ -z "${API-}" ] || continue
		reload "$preset" "$(fewer "$preset")"
		: >"/srv/steady/steady $preset-few"
		web "$preset-few"
		wait_for "the lines of few fields" 60 seen "steady $preset-few" "/\\\\\" $preset-few"
	done
	: >/srv/steady/stop
	container_wait "$id"
	container_delete "$id"
	logtap_stop logtap || fail "logtap's exit status is $?"
}

check()
{
	consume records >"$OUT/records"
	judge <<'END'
import os
import sys
from records import *

OUT = sys.argv[1]
FEWER_TOO = not os.environ.get("API")
MACHINE, BOOT = (open(f"{OUT}/{name}").read().strip() for name in ("machine-id", "boot-id"))
PRESETS = ["default", "fluentbit", "ecs", "otel"]
records = [json.loads(line) for line in open(f"{OUT}/records")]
MESSAGE = {"default": "message", "fluentbit": "log", "ecs": "message", "otel": "body"}


def find(preset, message):
    found = [flat(record) for record in records if preset_of(record) == preset]
    found = [record for record in found if message(record[MESSAGE[preset]])]
    expect(f"{preset}: records of one line", len(found), 1)
    return found[0]


def expect_fields(what, record, **fields):
    for name, wanted in fields["fields"].items():
        expect(f"{what}: {name}", record.get(name), wanted)


POD = "8a3bf2b1-0c4d-4e5f-9a6b-7c8d9e0f1a2b"
IMAGE = "registry.test:5000/shop/web:1.2"
ALWAYS = {
    "fluentbit": {"@timestamp", "time", "log", "_p", "logtap.id"},
    "otel": {"timeUnixNano", "observedTimeUnixNano", "body", "logtap.id"}}
FEWER = {
    "fluentbit": {"kubernetes.pod_name", "logtap.cloud.instance_id", "logtap.process.name"},
    "otel": {"resource k8s.pod.name", "resource host.id", "process.pid"}}
DENIED = {
    "default": {"process.uid", "process.tid", "container.id", "container.name", "container.image", "container.runtime",
                "kubernetes.pod_uid", "kubernetes.container_image", "host_id", "cloud.zone"},
    "ecs": {"user.id", "process.thread.id", "container.id", "container.image.name", "container.runtime",
            "kubernetes.pod.uid", "host.id", "cloud.provider", "cloud.instance.id", "cloud.region",
            "cloud.availability_zone", "cloud.account.id"}}
for number, preset in enumerate(PRESETS):
    container = f"{1:063}{(1 + FEWER_TOO) * number}"
    name = f"web-{preset}"
    wanted = {
        "default": {
            "stream": "stderr", "source_type": "kubernetes_logs", "host": "node-1", "host_id": MACHINE, "boot_id": BOOT,
            "cloud.provider": "aws", "cloud.instance_id": "i-07", "cloud.zone": "eu-west-1b",
            "container.id": container, "container.name": "web", "container.image": IMAGE, "container.runtime": "containerd",
            "kubernetes.pod_name": name, "kubernetes.pod_namespace": "shop", "kubernetes.pod_uid": POD,
            "kubernetes.pod_node_name": "node-1", "kubernetes.container_name": "web",
            "kubernetes.container_id": f"containerd://{container}", "kubernetes.container_image": IMAGE, "process.uid": 0},
        "fluentbit": {
            "stream": "stderr", "_p": "F", "kubernetes.pod_name": name, "kubernetes.namespace_name": "shop",
            "kubernetes.pod_id": POD, "kubernetes.host": "node-1", "kubernetes.container_name": "web",
            "kubernetes.docker_id": container, "kubernetes.container_image": IMAGE, "logtap.host_id": MACHINE,
            "logtap.boot_id": BOOT, "logtap.cloud.provider": "aws", "logtap.cloud.instance_id": "i-07",
            "logtap.process.uid": 0},
        "ecs": {
            "stream": "stderr", "input.type": "container", "@metadata.beat": "filebeat", "ecs.version": "8.0.0",
            "agent.type": "logtap", "agent.name": "node-1", "host.name": "node-1", "host.id": MACHINE,
            "host.boot.id": BOOT, "cloud.provider": "aws", "cloud.instance.id": "i-07", "cloud.account.id": "4711",
            "cloud.availability_zone": "eu-west-1b", "container.id": container, "container.image.name": IMAGE,
            "container.runtime": "containerd", "container.name": None, "kubernetes.container.name": "web",
            "kubernetes.pod.name": name, "kubernetes.pod.uid": POD, "kubernetes.namespace": "shop",
            "kubernetes.node.name": "node-1", "user.id": "0", "host.architecture": "x86_64", "host.os.type": "linux"},
        "otel": {
            "log.iostream": "stderr", "logtag": "F", "resource host.name": "node-1", "resource host.id": "i-07",
            "resource logtap.host_id": MACHINE, "resource logtap.boot_id": BOOT, "resource cloud.provider": "aws",
            "resource cloud.region": "eu-west-1", "resource cloud.availability_zone": "eu-west-1b",
            "resource cloud.account.id": "4711", "resource container.id": container,
            "resource container.image.name": "registry.test:5000/shop/web", "resource container.image.tag": "1.2",
            "resource container.runtime": "containerd", "resource k8s.pod.name": name,
            "resource k8s.namespace.name": "shop", "resource k8s.pod.uid": POD, "resource k8s.node.name": "node-1",
            "resource k8s.container.name": "web", "resource service.name": name, "resource service.namespace": "shop",
            "resource service.version": "1.2", "resource service.instance.id": f"shop.{name}.web", "resource host.arch": "amd64",
            "process.real_user.id": 0},
    }[preset]
    line = find(preset, lambda text: text == f'GET "/" {preset}')
    expect_fields(preset, line, fields=wanted)

    path = f"/var/log/names/{preset}.log"
    file = find(preset, lambda text: text == f"file {preset}")
    expect_fields(f"{preset}'s file", file, fields={
        "default": {"file": path, "source_type": "file", "stream": None, "container.id": None},
        "fluentbit": {"logtap.file": path, "logtap.host": "node-1", "stream": None},
        "ecs": {"log.file.path": path, "input.type": "filestream", "stream": None},
        "otel": {"log.file.path": path, "log.file.name": f"{preset}.log", "log.iostream": None}}[preset])

    lone = find(preset, lambda text: text == f"lone {preset}")
    expect_fields(f"{preset}'s lone container", lone, fields={
        "default": {"source_type": "container", "container.id": f"lone-{preset}", "kubernetes.pod_name": None},
        "fluentbit": {"logtap.container.id": f"lone-{preset}", "kubernetes.pod_name": None},
        "ecs": {"container.id": f"lone-{preset}", "kubernetes.pod.name": None},
        "otel": {"resource container.id": f"lone-{preset}", "resource k8s.pod.name": None}}[preset])

    mark = {"default": "partial", "fluentbit": "logtap.partial", "ecs": "logtap.partial", "otel": "logtap.partial"}[preset]
    cuts = [record for record in map(flat, (record for record in records if preset_of(record) == preset))
            if record[MESSAGE[preset]].startswith("00")]
    expect(f"{preset}: lines that are cut", len(cuts), 1 + FEWER_TOO)
    for cut in cuts:
        expect(f"{preset}: the cut line's mark", cut.get(mark), "max_size")
        if not 8000 < len(cut[MESSAGE[preset]]) < 12000:
            fail(f"{preset}: {len(cut[MESSAGE[preset]])} bytes are left of the line that is cut")
    expect(f"{preset}: the whole line's mark", line.get(mark), None)

    # The stream was there before: its names are others from its next line on, and so are its fields.
    steady = find(preset, lambda text: text == f"steady {preset}")
    if not FEWER_TOO:
        continue
    for whole, few in ((line, find(preset, lambda text: text == f'GET "/" {preset}-few')),
                       (steady, find(preset, lambda text: text == f"steady {preset}-few"))):
        left = ALWAYS[preset] | FEWER[preset] if preset in FEWER else whole.keys() - DENIED[preset]
        expect(f"{preset}: fields that are left", sorted(few), sorted(left))
ids = [record.get(name) for record in map(flat, records) for name in ("id", "logtap.id") if record.get(name)]
expect("records", len(ids), len(records))
expect("ids", len(set(ids)), len(ids))
expect("lines", len(records), (5 + 3 * FEWER_TOO) * len(PRESETS))
END
}
