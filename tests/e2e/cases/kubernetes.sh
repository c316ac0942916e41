# Shows what an API server adds to the lines of real containers, and that nothing depends on it. A pod that is known has its labels,
# owner and so on from its first line; a new one's lines wait for it, and for nobody for longer than 2 s; changed labels hold for later
# lines, a deleted pod's for its last; an annotation ends the capture of a container that runs, without it capture begins again. History
# that is forgotten, a token that is changed, a storm of 5,000 events and a server that dies and comes back cost labels of new pods at
# most, while a container writes 200 lines a second: each byte of it is delivered, none later than a second for the storm.
# needs: logtap tools
# timeout: 300
# api: it has an API server of its own, which also dies

SHARED=/run/e2e/shared
API=/run/e2e/api
CAME=/run/e2e/came	# what logtap prints, a file for each container: see stamp.py; in memory, as this machine's disk may hold up who writes
STORM=5000
declare -A said=()

# --- the API server

# api COMMAND...: to the server; prints what it answers.
api()
{
	local answer

	echo "$*" >&"$API_IN"
	read -r answer <&"$API_OUT"
	echo "$answer"
}

# tell COMMAND...: that answers nothing but ok.
tell()
{
	expect "the API server's answer" "$(api "$@")" ok
}

# api_start: with the pods of $API/start. The first answer comes when it listens.
api_start()
{
	rm -f "$API/in" "$API/out"
	mkfifo "$API/in" "$API/out"
	/usr/bin/python3 "$REPO/tests/kubernetes/api_server" "$API" --start="$API/start" <"$API/in" >"$API/out" 2>>"$OUT/api.err" &
	API_PID=$!
	exec {API_IN}>"$API/in" {API_OUT}<"$API/out"
	api count list >/dev/null
}

write_kubeconfig()
{
	cat >"$API/kubeconfig" <<-END
		apiVersion: v1
		kind: Config
		current-context: test
		contexts: [{name: test, context: {cluster: test, user: logtap}}]
		clusters: [{name: test, cluster: {server: "https://127.0.0.1:$(cat "$API/port")", certificate-authority: ca.crt}}]
		users: [{name: logtap, user: {tokenFile: token}}]
	END
}

set_token()
{
	echo "$1" >"$API/token.new"
	mv "$API/token.new" "$API/token"
}

watched()
{
	[ "$(api count watching)" -gt 0 ]
}

# --- pods

# By their place in this list they have ids: without a process, as pods come in a hurry.
PODS=(busy known late-1 late-2 late-3 unknown shy orphan reborn)
declare -A ids=() uids=()
for n in "${!PODS[@]}"; do
	printf -v "ids[${PODS[n]}]" '%063d%d' 7 "$n"
	printf -v "uids[${PODS[n]}]" '%08d-0000-4000-8000-%012d' "$n" 7
done

# pod_put NAME TURN [ANNOTATIONS]: as the API server would say it: of a ReplicaSet of the Deployment NAME.
pod_put()
{
	echo "put pods {\"metadata\": {\"uid\": \"${uids[$1]}\", \"name\": \"pod-$1\", \"namespace\": \"shop\"," \
		"\"labels\": {\"app\": \"$1\", \"turn\": \"$2\", \"pod-template-hash\": \"7d4b\"}," \
		"\"annotations\": {\"note\": \"of $1\", \"other\": \"secret\"${3:+, $3}}," \
		"\"ownerReferences\": [{\"kind\": \"ReplicaSet\", \"name\": \"$1-7d4b\", \"uid\": \"x\", \"controller\": true}]}," \
		"\"spec\": {\"nodeName\": \"node-1\", \"serviceAccountName\": \"seller\"," \
		"\"containers\": [{\"name\": \"$1\", \"image\": \"busybox:1\"}]}," \
		"\"status\": {\"podIP\": \"10.244.1.17\", \"podIPs\": [{\"ip\": \"10.244.1.17\"}, {\"ip\": \"fd00::17\"}]," \
		"\"qosClass\": \"Burstable\", \"containerStatuses\": [{\"name\": \"$1\"," \
		"\"containerID\": \"containerd://${ids[$1]}\", \"imageID\": \"sha256:abcd\", \"restartCount\": 3}]}}"
}

# pod_start NAME COMMAND...: its container.
pod_start()
{
	bundle -p "pod-$1" -n shop -u "${uids[$1]}" -c "$1" -s "$1-sandbox" -m "$SHARED:/tmp" -m "$TOOLS:/mnt" "${ids[$1]}" "${@:2}"
	container_start "${ids[$1]}" "$OUT/$1.stdout" "$OUT/$1.stderr"
}

# One that prints the lines that it is given.
talker_start()
{
	said[$1]=0
	mkfifo "$SHARED/$1.say"
	# shellcheck disable=SC2016 # expanded in the container
	pod_start "$1" sh -c 'exec 9<>"/tmp/$0.say"; while read -r line <&9 && [ "$line" != stop ]; do echo "$line"; done' "$1"
}

came()
{
	grep -q "\"message\":\"$1\"" "$CAME/${1% *}"
}

say()
{
	echo "$1 ${said[$1]}" >"$SHARED/$1.say"
	said[$1]=$((said[$1] + 1))
}

# says_until NAME TEXT: until a record of its next line has TEXT.
says_until()
{
	local n=${said[$1]}

	say "$1"
	wait_for "line $n of $1" 30 came "$1 $n"
	grep "\"message\":\"$1 $n\"" "$CAME/$1" | grep "$2"
}

busy_says()
{
	tail -n 2 "$CAME/busy" | grep "\"turn\":\"$1\""
}

# turn WORD: the events up to here have arrived, as the one that comes behind them shows on the busy container's lines.
turn()
{
	tell "$(pod_put busy "$1")"
	wait_for "the turn $1" 60 busy_says "$1"
}

# --- what is shown

known_beforehand()
{
	talker_start known
	say known
	wait_for "the first line" 30 came "known 0"
}

# late NAME: a pod that is published when its container has written. When that was, in guest time, is in $OUT/NAME.put.
late()
{
	# shellcheck disable=SC2016 # expanded in the container
	pod_start "$1" sh -c 'echo "$0 0"; echo "$0 1"; echo "$0 2"; : >"/tmp/$0.written"' "$1"
	until [ -e "$SHARED/$1.written" ]; do sleep 0.02; done
	sleep 0.3
	tell "$(pod_put "$1" one)"
	date +%s.%N >"$OUT/$1.put"
	wait_for "the lines of $1" 30 came "$1 2"
}

labels_change()
{
	tell "$(pod_put known two)"
	wait_for "the labels to change" 60 says_until known '"turn":"two"'
	tell delete pods "${uids[known]}"
	turn deleted
	says_until known '"turn":"two"' >/dev/null || fail "a deleted pod's labels are forgotten"
	echo "${said[known]}" >"$OUT/known.said"
}

# logtap's counter NAME, as it is at this moment.
counter()
{
	local before

	before=$(grep -c '^{"counters"' "$OUT/logtap.err" || true)
	kill -USR1 "${LOGTAP_PIDS[logtap]}"
	until [ "$(grep -c '^{"counters"' "$OUT/logtap.err" || true)" -gt "$before" ]; do sleep 0.02; done
	grep '^{"counters"' "$OUT/logtap.err" | tail -n 1 | sed "s/.*\"$1\":\([0-9]*\).*/\1/"
}

closed_more_than()
{
	[ "$(counter streams_closed)" -gt "$1" ]
}

excludes_itself()
{
	local closed

	talker_start shy
	wait_for "the first line" 30 says_until shy '"turn":"one"'
	wait_for "two streams each of those that are over to be closed" 60 closed_more_than 7
	closed=$(counter streams_closed)
	tell "$(pod_put shy two '"logtap.io/exclude": "true"')"
	wait_for "its capture to end" 60 closed_more_than "$closed"
	echo "${said[shy]}" >"$OUT/shy.excluded"
	for _ in 1 2 3; do say shy; done
	turn shy
	echo "${said[shy]}" >"$OUT/shy.asked"
	tell "$(pod_put shy three)"
	# Those that it says before capture begins do not come.
	for ((; ;)); do
		say shy
		sleep 0.3
		! came "shy $((said[shy] - 1))" || break
		[ "${said[shy]}" -lt 300 ] || fail "waited in vain for shy to be captured again"
	done
	echo $((said[shy] - 1)) >"$OUT/shy.again"
	says_until shy '"turn":"three"' >/dev/null || fail "shy: its labels are not those of its pod"
	echo "${said[shy]}" >"$OUT/shy.said"
}

history_forgotten()
{
	local lists

	lists=$(api count list)
	tell compact
	turn forgotten
	[ "$(api count list)" -gt "$lists" ] || fail "after 410 nothing was listed"
}

token_changed()
{
	local before

	before=$(api count unauthorized)
	tell token second
	tell cut
	until [ "$(api count unauthorized)" -gt "$before" ]; do sleep 0.1; done
	set_token second
	turn token
}

# Two emulated processors are shared with the API server and with whoever waits here: without this there is nothing left for those
# whose lines are measured. What remains to be seen is whether logtap gets in its own way.
prefer_busy()
{
	local pid

	for pid in ${DRAINS[${ids[busy]}]} "$STAMP_PID" "${LOGTAP_PIDS[logtap]}" \
		$(cat "/sys/fs/cgroup/kubepods/besteffort/pod${uids[busy]}/${ids[busy]}/cgroup.procs"); do
		chrt --all-tasks --fifo --pid 1 "$pid"
	done
}

# memory_of MOMENT: what logtap has.
memory_of()
{
	grep -E '^(VmHWM|Rss)' "/proc/${LOGTAP_PIDS[logtap]}/status" >"$OUT/memory.$1"
}

storm()
{
	prefer_busy
	turn calm
	memory_of before
	date +%s.%N >"$OUT/calm.begin"
	sleep 5
	date +%s.%N >"$OUT/storm.begin"
	tell storm "$STORM"
	turn stormed
	date +%s.%N >"$OUT/storm.end"
	memory_of after
}

server_killed()
{
	kill -KILL "$API_PID"
	wait "$API_PID" 2>/dev/null || true
	exec {API_IN}>&- {API_OUT}<&-
	talker_start orphan
	say orphan
	wait_for "a line of a pod that nobody tells of" 60 came "orphan 0"
	{
		echo "version 1000000"
		echo "token second"
		pod_put busy back
		pod_put reborn one
		pod_put orphan one
	} >"$API/start"
	api_start
	wait_for "the server to be asked again" 120 busy_says back
	talker_start reborn
	say reborn
	wait_for "a line of a new pod" 30 came "reborn 0"
	wait_for "the labels of the one before" 60 says_until orphan '"app":"orphan"'
	echo "${said[orphan]}" >"$OUT/orphan.said"
}

guest()
{
	local pod n

	mkdir -p "$SHARED" "$API" "$CAME"
	set_token first
	{ pod_put known one; pod_put busy one; pod_put shy one; } >"$API/start"
	api_start
	write_kubeconfig
	cat >/run/kubernetes.yaml <<-END
		node: node-1
		kubernetes: {source: api, kubeconfig: $API/kubeconfig}
		record: {pod_annotations: {allow: [note, "logtap.io/*"]}}
		capture: {ring_size: 4MiB}
	END
	mkfifo /run/e2e/logtap.fifo
	ln -s /run/e2e/logtap.fifo "$OUT/logtap.out"
	/usr/bin/python3 "$REPO/tests/e2e/tools/stamp.py" "$CAME" </run/e2e/logtap.fifo &
	STAMP_PID=$!
	logtap_start logtap /run/kubernetes.yaml
	wait_for "the pods to be watched" 60 watched
	pod_start busy /mnt/loglines --writer busy --sizes short --fd 1 --rate 200 --seed 1 --lines 100000000 --until /tmp/stop \
		--report /tmp/busy.report
	known_beforehand
	for n in 1 2 3; do late "late-$n"; done
	# shellcheck disable=SC2016 # expanded in the container
	pod_start unknown sh -c 'echo "$0 0"; echo "$0 1"; echo "$0 2"' unknown
	labels_change
	excludes_itself
	history_forgotten
	token_changed
	storm
	server_killed
	: >"$SHARED/stop"
	for pod in "${!said[@]}"; do
		echo stop >"$SHARED/$pod.say"
	done
	for pod in "${PODS[@]}"; do
		container_wait "${ids[$pod]}"
		container_delete "${ids[$pod]}"
	done
	memory_of end
	logtap_stop logtap || fail "logtap's exit status is $?"
	rm "$OUT/logtap.out"
	wait "$STAMP_PID"
	cp -r "$CAME" "$OUT/came"
}

check()
{
	judge <<'END'
import os
import sys
from records import *

OUT = sys.argv[1]
arrival, logs, place = {}, {}, {}
for name in os.listdir(f"{OUT}/came"):
    for line in open(f"{OUT}/came/{name}", "rb"):
        number, stamp, text = line.split(b" ", 2)
        record = json.loads(text)
        place[record["id"]] = int(number)
        arrival[record["id"]] = float(stamp)
        logs.setdefault(log_of(record), []).append(record)
expect_ids_unique(logs)
expect_no_loss(f"{OUT}/logtap.err")


def read(name):
    return float(open(f"{OUT}/{name}").read())


def written_at(record):
    """Seconds; timestamps are UTC with nine digits."""
    from calendar import timegm
    from time import strptime
    day, _, rest = record["timestamp"].partition(".")
    return timegm(strptime(day, "%Y-%m-%dT%H:%M:%S")) + float("0." + rest.rstrip("Z"))


PODS = ["busy", "known", "late-1", "late-2", "late-3", "unknown", "shy", "orphan", "reborn"]


def expect_names(name, record):
    number = PODS.index(name)
    uid, identifier = f"{number:08}-0000-4000-8000-{7:012}", f"{7:063}{number}"
    kubernetes = record["kubernetes"]
    for key, wanted in {"pod_name": f"pod-{name}", "pod_namespace": "shop", "pod_uid": uid, "pod_node_name": "node-1",
                        "container_name": name, "container_id": f"containerd://{identifier}"}.items():
        expect(f"{name}: {key}", kubernetes.get(key), wanted)
    for key, wanted in {"runtime": "containerd", "id": identifier, "image": "localhost/busybox:1"}.items():
        expect(f"{name}: container.{key}", record["container"].get(key), wanted)


def turn_of(record):
    return record["kubernetes"].get("pod_labels", {}).get("turn")


ADDED = {"pod_labels", "pod_annotations", "pod_ip", "pod_ips", "pod_owner", "container_image_id"}


def expect_labels(name, record, turn):
    kubernetes = record["kubernetes"]
    for key, wanted in {"pod_labels": {"app": name, "turn": turn, "pod-template-hash": "7d4b"}, "pod_annotations": {"note": f"of {name}"},
                        "pod_ip": "10.244.1.17", "pod_ips": ["10.244.1.17", "fd00::17"], "pod_owner": f"ReplicaSet/{name}-7d4b",
                        "container_image": "busybox:1", "container_image_id": "sha256:abcd"}.items():
        expect(f"{name}: {key}", kubernetes.get(key), wanted)
    for key, wanted in {"workload": {"kind": "Deployment", "name": name}, "service_account": "seller", "qos_class": "Burstable",
                        "restart_count": 3, "enriched": None}.items():
        expect(f"{name}: {key}", record.get(key, kubernetes.get(key)), wanted)


def expect_unknown(name, record):
    expect(f"{name}: enriched", record["kubernetes"].get("enriched"), False)
    expect(f"{name}: what nobody told", ADDED & set(record["kubernetes"]), set())
    expect(f"{name}: container_image", record["kubernetes"].get("container_image"), "localhost/busybox:1")


def lines(name):
    found = logs.pop(f"{name}/stdout")
    for record in found:
        expect_names(name, record)
    return found


def messages(found):
    return [record["message"] for record in found]


# Known beforehand, changed, deleted.
known = lines("known")
expect("known", messages(known), [f"known {n}" for n in range(int(read("known.said")))])
turns = [turn_of(record) for record in known]
expect("known: turns", sorted(set(turns)), ["one", "two"])
expect("known: turns in order", turns, sorted(turns))
for record in known:
    expect_labels("known", record, turn_of(record))

# One that writes 200 lines a second all the while: each byte, always known.
busy = lines("busy")
expect_truth("busy", busy, open(f"{OUT}/busy.stdout", "rb").read())
for record in busy:
    expect_labels("busy", record, turn_of(record))
turns = [turn for at, turn in enumerate(map(turn_of, busy)) if not at or turn != turn_of(busy[at - 1])]
expect("busy: turns", turns, ["one", "deleted", "shy", "forgotten", "token", "calm", "stormed", "back"])


def busy_before(record):
    """When the latest of the busy container's lines was written that came out before this one."""
    return max(written_at(other) for other in busy if place[other["id"]] < place[record["id"]])


def expect_bounded_wait(name, record):
    """2 s after its first line it comes out, between lines of the busy container. Where logtap did not get to run, when its first line was
    read and when it came out, some of those are later than others: by so much, and half a second, it may come later."""
    written = written_at(record)
    meanwhile = [other for other in busy if place[other["id"]] < place[record["id"]] and written_at(other) >= written]
    waited = max(map(written_at, meanwhile), default=written) - written
    late = [arrival[other["id"]] - written_at(other) for other in meanwhile]
    if max(waited, arrival[record["id"]] - written) < 1.5:
        fail(f"{name}: its lines have not waited for 2 s")
    if waited > 2.5 + 2 * (max(late) - min(late)):
        fail(f"{name}: its lines came out behind one that was written {waited:.2f} s later; others came {min(late):.2f} to {max(late):.2f} s late")
    return waited


# Lines that wait for their pod. Where it was published too late, or the busy container did not get to run, nothing is shown.
in_time = 0
for name in ("late-1", "late-2", "late-3"):
    found = lines(name)
    expect(name, messages(found), [f"{name} {n}" for n in range(3)])
    if read(f"{name}.put") > written_at(found[0]) + 1:
        continue
    for record in found:
        expect_labels(name, record, "one")
    in_time += busy_before(found[0]) >= written_at(found[0]) + 0.2
unknown = lines("unknown")
expect("unknown", messages(unknown), [f"unknown {n}" for n in range(3)])
for record in unknown:
    expect_unknown("unknown", record)
waited = expect_bounded_wait("unknown", unknown[0])

# Excluded by itself, for a while.
shy = lines("shy")
numbers = [int(record["message"].split()[1]) for record in shy]
excluded, asked, again, said = (int(read(f"shy.{name}")) for name in ("excluded", "asked", "again", "said"))
first = next((at for at, number in enumerate(numbers) if number >= excluded), None)
expect("shy: before", numbers[:first], list(range(excluded)))
if not asked <= numbers[first] <= again:
    fail(f"shy: line {numbers[first]} came; those from {excluded} to {asked - 1} are not wanted, that of {again} is")
expect("shy: afterwards", numbers[first:], list(range(numbers[first], said)))
expect("shy: marked", [at for at, record in enumerate(shy) if record.get("partial")], [first])
for record in shy:
    if turn_of(record) not in ("one", "two", "three"):
        fail(f"shy: {turn_of(record)}")
    expect("shy: annotations", record["kubernetes"]["pod_annotations"],
           {"note": "of shy", **({"logtap.io/exclude": "true"} if turn_of(record) == "two" else {})})

# The storm. How late lines are without it, on this machine, is its own.
def latest(begin, end):
    late = [arrival[record["id"]] - written_at(record) for record in busy if begin <= written_at(record) <= end]
    if len(late) < 20:
        fail(f"only {len(late)} lines were written in {end - begin:.1f} s")
    return max(late)


def stood_still(begin, end):
    """The longest that its writer, which goes before all others and for which nobody is in the way, did not write: nor did this machine run."""
    times = [time for time in map(written_at, busy) if begin - 1 <= time <= end + 1]
    return max(after - before for before, after in zip(times, times[1:]))


begin, end = read("storm.begin"), read("storm.end")
calm, late, still = latest(read("calm.begin"), begin), latest(begin, end), stood_still(begin, end)
if late > calm + 1 + still:
    fail(f"a line came {late:.3f} s late while the events came, {calm:.3f} s before; it was not written for {still:.3f} s at most")
if not in_time and calm < 0.1:
    fail("a pod's lines, or those of others beside it, came in their turn: none has waited")
if counters(f"{OUT}/logtap.err")["kube_pods"] < 5000:
    fail("not all events were taken")


def memory(moment):
    return {line.split(":")[0]: int(line.split()[1]) >> 10 for line in open(f"{OUT}/memory.{moment}")}


# Ring and journal are mapped as a whole, the ring twice.
if memory("end")["VmHWM"] >= 64:
    fail(f"logtap had {memory('end')['VmHWM']} MiB")
# What is its own; the next segment of the journal may be mapped meanwhile.
if memory("after")["RssAnon"] - memory("before")["RssAnon"] >= 4:
    fail(f"logtap had {memory('before')['RssAnon']} MiB of its own before the storm, {memory('after')['RssAnon']} MiB after it")

# The server is killed, and comes back.
orphan = lines("orphan")
expect("orphan", messages(orphan), [f"orphan {n}" for n in range(int(read("orphan.said")))])
expect_unknown("orphan", orphan[0])
expect_bounded_wait("orphan", orphan[0])
expect_labels("orphan", orphan[-1], "one")
reborn = lines("reborn")
expect("reborn", messages(reborn), ["reborn 0"])
expect_labels("reborn", reborn[0], "one")
expect("other logs", sorted(logs), [])
open(f"{OUT}/summary", "w").write(
    f"{in_time} of 3 pods waited for, {waited:.2f} s for one that never came; in a storm of {end - begin:.1f} s lines came "
    f"{late:.3f} s late at most, {calm:.3f} s before it; RSS {memory('end')['VmHWM']} MiB at "
    f"most, {memory('end')['RssAnon']} MiB of it its own")
END
}
