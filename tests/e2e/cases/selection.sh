# Shows which containers' streams and files are captured: by namespace, name, image and stream, what is excluded wins, and pods' rules match
# no pod only. What is not selected is not captured at all. While others write, SIGHUP brings other rules again and again: a
# container's lines come while it is selected, all of them, and none while it is not; those that stay selected miss nothing, nor do
# containers that begin meanwhile. So it is when the next agent has other rules.
# needs: logtap tools
# timeout: 400
# pods: 8
# nameless: containers that lived while no agent did
# slow: twelve phases, three agents

SHARED=/run/e2e/selection
CONFIG=/run/selection.yaml
PHASE_LINES=300
agent=0
anew=0
phases=0
briefs=0

# pod NAME OPTION... SCRIPT: a container NAME of a pod of its own, with $SHARED at /tmp and the tools at /mnt.
pod()
{
	local name=$1 script=${*: -1}

	bundle -p "pod-$name" -c "$name" -s "$name-sandbox" -m "$SHARED:/tmp" -m "$TOOLS:/mnt" "${@:2:$#-2}" \
		"$(printf %s "$name" | sha256sum | cut -c 1-64)" sh -c "$script"
}

id_of()
{
	printf %s "$1" | sha256sum | cut -c 1-64
}

start()
{
	container_start "$(id_of "$1")" "$OUT/$1.stdout" "$OUT/$1.stderr"
}

end()
{
	container_wait "$(id_of "$1")"
	container_delete "$(id_of "$1")"
}

# --- the agent

start_agent()
{
	agent=$((agent + 1))
	anew=0
	logtap_start "agent$agent" "$CONFIG"
}

said()
{
	[ "$(grep -c "$2" "$OUT/agent$agent.err")" -ge "$1" ]
}

printed_counters()
{
	grep '^{"counters"' "$OUT/agent$agent.err"
}

# counter NAME: as it is now.
counter()
{
	local before

	before=$(printed_counters | wc -l)
	kill -USR1 "${LOGTAP_PIDS[agent$agent]}"
	until [ "$(printed_counters | wc -l)" -gt "$before" ]; do sleep 0.02; done
	printed_counters | tail -n 1 | sed "s/.*\"$1\":\([0-9]*\).*/\1/"
}

counter_is()
{
	[ "$(counter "$1")" -ge "$2" ]
}

# configure [flip] [rest]: what is selected beside what always is.
configure()
{
	cat >"$CONFIG" <<-END
		selection:
		  include:
		    - {namespaces: [shop, team-*]}
		    - {containers: [by-na?e], streams: [stdout]}
		    - {pods: [pod-flip], namespaces: ['${1:-nowhere}']}
		  exclude:
		    - images: ['*/noisy:*']
		    - {containers: [sidecar], streams: [stderr]}
		capture:
		  ring_size: 64MiB
		  files: [/tmp/*.log]
	END
}

# reload FLIP: when it has taken effect.
reload()
{
	local closed=0

	[ "$1" = keep ] || configure "$1"
	[ "$2" != off ] || closed=$(counter streams_closed)
	kill -HUP "${LOGTAP_PIDS[agent$agent]}"
	anew=$((anew + 1))
	wait_for "the configuration to be loaded anew" 60 said "$anew" "loaded anew"
	# What was selected comes out up to there: both streams and the file.
	[ "$2" != off ] || wait_for "the streams to end" 60 counter_is streams_closed $((closed + 3))
}

# --- what is selected

print_once()
{
	local name=$1
	shift

	pod "$name" "$@" "echo $name out; echo $name err >&2; echo $name file >/tmp/$name.log"
	start "$name"
	end "$name"
}

static_rules()
{
	print_once shopper -n shop
	print_once teamster -n team-a
	print_once banker -n bank
	print_once noisy -n shop -i registry.example.org/deep/noisy:2
	print_once sidecar -n shop
	print_once by-name -n bank
	# No pod's.
	bundle -m "$SHARED:/tmp" plain sh -c 'echo plain out; echo plain err >&2; echo plain file >/tmp/plain.log'
	container_run plain "$OUT/plain.stdout" "$OUT/plain.stderr"
}

# A container that is not selected writes without end; nothing else does.
not_captured()
{
	local deselected bytes writes

	deselected=$(counter streams_deselected)
	pod loud -n bank '
		exec 3>/tmp/loud.log
		echo first; echo first >&2; echo first >&3
		until [ -e /tmp/loud ]; do usleep 20000; done
		i=0
		while [ $i -lt 20000 ]; do echo "line $i that nobody wants"; echo "line $i, too" >&3; i=$((i + 1)); done
		echo last >&2
		: >/tmp/loud.done
		until [ -e /tmp/loud.end ]; do usleep 20000; done'
	start loud
	wait_for "it to be left out" 60 counter_is streams_deselected $((deselected + 3))
	bytes=$(counter bytes_captured)
	writes=$(counter writes_captured)
	: >"$SHARED/loud"
	wait_for "the loud one" 60 test -e "$SHARED/loud.done"
	# What comes behind it in the ring, 11 bytes to each stream and 12 to the file, is all there is.
	print_once marker -n shop
	wait_for "what comes behind it" 60 grep -q "marker err" "$OUT/agent1.out"
	wait_for "the file's line" 60 grep -q "marker file" "$OUT/agent1.out"
	expect "bytes captured" "$(counter bytes_captured)" $((bytes + 34))
	expect "writes captured" "$(counter writes_captured)" $((writes + 3))
	: >"$SHARED/loud.end"
	end loud
}

# --- under load

write_steadily()
{
	pod steady -n shop "/mnt/loglines --writer steady --sizes mix --fd 1 --fd 2 --rate 100 --seed 1 --lines 100000000 \
		--until /tmp/stop --report /tmp/steady.report"
	pod blocks -n team-b "/mnt/loglines --writer blocks --sizes short --fd 1 --block 1024 --rate 400 --seed 1 \
		--lines 100000000 --until /tmp/stop --report /tmp/blocks.report"
	start steady
	start blocks
	# In a phase it prints lines to both streams and to a file that it keeps open.
	# shellcheck disable=SC2016 # expanded in the container
	pod flip -n flip 'exec 3>/tmp/flip.log; n=0
		until [ -e /tmp/stop ]; do
			[ -e /tmp/flip.$n ] || { usleep 20000; continue; }
			i=0
			while [ $i -lt '$PHASE_LINES' ]; do
				echo "phase $n line $i"
				echo "phase $n error $i" >&2
				echo "phase $n entry $i" >&3
				i=$((i + 1))
			done
			: >/tmp/flip.$n.done
			n=$((n + 1))
		done'
	start flip
}

# phase on|off: what it prints is to come out, or not.
phase()
{
	echo "$phases $1" >>"$OUT/phases"
	: >"$SHARED/flip.$phases"
	wait_for "phase $phases" 60 test -e "$SHARED/flip.$phases.done"
	phases=$((phases + 1))
}

# Short-lived ones, until the case has had enough.
begin_meanwhile()
{
	while [ ! -e "$SHARED/enough" ]; do
		pod "brief-$briefs" -n shop "echo one $briefs; echo two $briefs >&2"
		start "brief-$briefs"
		end "brief-$briefs"
		briefs=$((briefs + 1))
		echo $briefs >"$OUT/briefs"
	done
}

guest()
{
	mkdir -p "$SHARED"
	configure
	start_agent
	static_rules
	not_captured

	write_steadily
	phase off
	begin_meanwhile &
	brief_pid=$!
	for _ in 1 2 3; do
		reload flip on
		phase on
		reload keep on
		reload keep on
		phase on
		reload nowhere off
		phase off
	done
	# The next agent has other rules.
	configure flip
	logtap_stop "agent$agent" TERM || fail "agent$agent: exit status $?"
	start_agent
	phase on
	# What it has not read yet the next one would decide by its own rules.
	wait_for "the phase's entries" 60 grep -q "phase $((phases - 1)) entry $((PHASE_LINES - 1))" "$OUT/agent$agent.out"
	wait_for "the phase's errors" 60 grep -q "phase $((phases - 1)) error $((PHASE_LINES - 1))" "$OUT/agent$agent.out"
	wait_for "the phase's lines" 60 grep -q "phase $((phases - 1)) line $((PHASE_LINES - 1))" "$OUT/agent$agent.out"
	configure
	logtap_stop "agent$agent" TERM || fail "agent$agent: exit status $?"
	start_agent
	wait_for "the streams to end" 60 counter_is streams_closed 3
	phase off
	: >"$SHARED/enough"
	wait "$brief_pid" || fail "a short-lived container failed"
	: >"$SHARED/stop"
	end steady
	end blocks
	end flip
	logtap_stop "agent$agent" || fail "agent$agent: exit status $?"
	echo "$PHASE_LINES $agent" >"$OUT/numbers"
}

check()
{
	judge <<'END'
import hashlib
import sys
from records import *

OUT = sys.argv[1]
lines, agents = map(int, open(f"{OUT}/numbers").read().split())
briefs = int(open(f"{OUT}/briefs").read())
logs = load(*(f"{OUT}/agent{agent}.out" for agent in range(1, agents + 1)))
expect_ids_unique(logs)


# What a container writes into a file, where it has its own.
for log in [log for log in logs if logs[log][0].get("source_type") == "file"]:
    records = logs.pop(log)
    logs[f"{records[0]['kubernetes']['container_name']}/file"] = records


def messages(log):
    return [record["message"] for record in logs.pop(log, [])]


for name, streams in (("shopper", "out err file"), ("marker", "out err file"), ("teamster", "out err file"), ("banker", ""), ("noisy", ""), ("sidecar", "out file"),
                      ("by-name", "out"), ("plain", "")):
    for stream, log in (("out", "stdout"), ("err", "stderr"), ("file", "file")):
        expect(f"{name} {stream}", messages(f"{name}/{log}"), [f"{name} {stream}"] if stream in streams.split() else [])
for log in ("steady/stdout", "steady/stderr", "blocks/stdout"):
    records = logs.pop(log)
    expect(f"{log}: gaps", lost(records), (0, 0))
    expect_truth(log, records, open(f"{OUT}/{log.replace('/', '.')}", "rb").read())
for brief in range(briefs):
    for stream, word in (("stdout", "one"), ("stderr", "two")):
        # No file of the runtime tells of one that lived while no agent did: whether it is selected is not known, so it is.
        known, nameless = f"brief-{brief}/{stream}", f"{hashlib.sha256(f'brief-{brief}'.encode()).hexdigest()}/{stream}"
        records = logs.pop(known if known in logs else nameless, [])
        expect(f"brief-{brief}/{stream}", [(r["message"], r.get("partial")) for r in records], [(f"{word} {brief}", None)])
on = [line.split()[0] for line in open(f"{OUT}/phases") if line.split()[1] == "on"]
for stream, word in (("stdout", "line"), ("stderr", "error"), ("file", "entry")):
    records = logs.pop(f"flip/{stream}", [])
    expect(f"flip/{stream}", [r["message"] for r in records], [f"phase {n} {word} {i}" for n in on for i in range(lines)])
    # Found open, each time that it was selected.
    expect(f"flip/{stream}: found in mid-line", len([r for r in records if r.get("partial") == "start"]), 4)
    expect(f"flip/{stream}: marks", {r.get("partial") for r in records}, {None, "start"})
expect("other logs", sorted(logs), [])
for agent in range(1, agents + 1):
    expect_no_loss(f"{OUT}/agent{agent}.err")
print(f"{len(on)} of {len(open(f'{OUT}/phases').readlines())} phases selected, {briefs} short-lived containers")
END
}
