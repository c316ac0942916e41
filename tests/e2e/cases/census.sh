# Shows that logtap may come and go at any time: containers and a file that are written before it starts, while it starts and
# while it stops, five times. From a log's first captured line on no line is missing and none comes twice; what was open before is
# marked as starting in the middle. Containers that start at the very moment that logtap attaches are captured from some line on.
# A container whose shell sends its output through tee is captured once.
# needs: logtap tools
# timeout: 180

ROUNDS=5
NEW=4	# a round; the last one starts when logtap has attached
LOGS=/run/e2e/logs
TRUTH=/run/e2e/truth	# what came out of the containers' pipes

# Until its standard error is closed a container counts on, a few thousand lines a second at most.
COUNT='i=0; while [ ! -e /mnt/end ]; do i=$((i + 1)); echo "line $i"; [ $((i % 20)) != 0 ] || usleep 20000; done'
COUNT_SOME='for i in $(seq 1000); do echo "line $i"; [ $((i % 20)) != 0 ] || usleep 30000; done'

# The new containers of one round but the last: one after the other, while logtap attaches.
start_new()
{
	local i

	for ((i = 1; i < NEW; i++)); do
		container_start "new-$1-$i" "$TRUTH/new-$1-$i"
	done
	for ((i = 1; i < NEW; i++)); do
		container_wait "new-$1-$i"
		container_delete "new-$1-$i"
	done
}

# lines_of ROUND LOG COUNT: so many of its lines have been captured in this round.
lines_of()
{
	[ "$(grep -c "\"$2\"" "$OUT/round$1.out")" -ge "$3" ]
}

play_round()
{
	local log new i

	for ((i = 1; i <= NEW; i++)); do
		bundle "new-$1-$i" sh -c "$COUNT_SOME"
	done
	start_new "$1" &
	new=$!
	logtap_start "round$1" /run/census.yaml
	container_start "new-$1-$NEW" "$TRUTH/new-$1-$NEW"
	for log in counter tee "file\":\"$LOGS/app.log"; do
		wait_for "lines of $log" 30 lines_of "$1" "$log" 300
	done
	wait "$new"
	container_wait "new-$1-$NEW"
	container_delete "new-$1-$NEW"
	logtap_stop "round$1"
}

guest()
{
	local round logger

	mkdir -p "$LOGS" "$TRUTH" /run/e2e/flags
	cat >/run/census.yaml <<-END
		capture:
		  files: [$LOGS/*.log]
	END
	bundle -m /run/e2e/flags:/mnt counter sh -c "$COUNT"
	bundle -m /run/e2e/flags:/mnt tee sh -c "exec > >(tee /tmp/copy); $COUNT"
	container_start counter "$TRUTH/counter"
	container_start tee "$TRUTH/tee"
	"$TOOLS/logger" "$LOGS/app.log" 1000 "$OUT/logger" &
	logger=$!
	for ((round = 1; round <= ROUNDS; round++)); do
		play_round "$round"
	done
	: >/run/e2e/flags/end
	kill "$logger"
	container_wait counter
	container_wait tee
	cp "$LOGS/app.log" "$TRUTH"
	cp -r "$TRUTH" "$OUT/truth"
}

check()
{
	judge <<'END'
import sys
from records import *

OUT = sys.argv[1]
ROUNDS, NEW, LAST_NEW = 5, 4, 1000
APP = "/run/e2e/logs/app.log"
OLD = {"counter/stdout", "tee/stdout", APP}
new_from_start = new_from_middle = 0


def truth(log):
    return open(f"{OUT}/truth/{log.removesuffix('/stdout').rpartition('/')[2]}", "rb").read()


def number(record, log):
    return int(record["message"][:8] if log == APP else record["message"].removeprefix("line "))


for turn in range(1, ROUNDS + 1):
    logs = load(f"{OUT}/round{turn}.out")
    new = {f"new-{turn}-{i}/stdout" for i in range(1, NEW + 1)}
    expect(f"round {turn}: logs that are missing", OLD - set(logs), set())
    expect(f"round {turn}: logs of others", set(logs) - OLD - new, set())
    expect_no_loss(f"{OUT}/round{turn}.err")
    expect_ids_unique(logs)
    for log, records in logs.items():
        what = f"round {turn}: {log}"
        partial = [record.get("partial") for record in records]
        # The first may lack its start; at logtap's end one that is written all the time may lack its rest.
        cut = log in OLD and partial[-1] == "timeout"
        numbers = [number(record, log) for record in records[partial[0] == "start":len(records) - cut]]
        if not numbers:
            continue
        expect(f"{what}: lines", numbers, list(range(numbers[0], numbers[0] + len(numbers))))
        expect_part(what, records, truth(log))
        expect(f"{what}: partial after the first", set(partial[1:len(partial) - cut]) - {None}, set())
        if log in OLD or numbers[0] > 2:
            expect(f"{what}: partial of the first", partial[0], "start")
        if log in new:
            expect(f"{what}: last line", numbers[-1], LAST_NEW)
            if log == f"new-{turn}-{NEW}/stdout":
                expect_truth(what, records, truth(log))
            new_from_start += numbers[0] == 1
            new_from_middle += numbers[0] != 1
print("new containers captured from the first line:", new_from_start, "from the middle:", new_from_middle)
END
}
