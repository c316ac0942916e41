# Sourced by cases in which one agent follows another. They set SHARED, a directory in which the file `agent` holds
# the number of the one that runs and `stop` ends the containers.

# Each line is begun under one agent, goes on under the next and ends under the one after.
prints_half_lines()
{
	bundle -m "$SHARED:/tmp" halves sh -c '
		next() {
			until [ -e /tmp/stop ] || [ "$(cat /tmp/agent)" -gt "$agent" ]; do usleep 20000; done
			agent=$(cat /tmp/agent)
		}
		i=0
		agent=$(cat /tmp/agent)
		until [ -e /tmp/stop ]; do
			printf "half %d begins" $i
			next
			printf ", goes on"
			next
			printf " and ends\n"
			i=$((i + 1))
		done
		echo $i >/tmp/halves.count'
	container_start halves "$OUT/halves.pipe"
}
