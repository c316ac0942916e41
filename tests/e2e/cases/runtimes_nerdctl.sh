# Shows that each line of a container of nerdctl's says whose it is: id, name, image, labels and log, from its first line to its
# last, also of one in the background, that ends at once, that is started again by its policy or by hand. What nerdctl's
# own logger, which is at the other end of the pipes, has of those that end is the same. nerdctl 1.7, built from source;
# Debian's containerd 1.6 does not count restarts.
# needs: logtap nerdctl
# timeout: 400
# slow: nerdctl takes seconds a command on an emulated processor

SPEAK='echo first; echo "first error" >&2; usleep 500000; echo last; echo "last error" >&2'

engine()
{
	nerdctl --snapshotter native "$@"
}

# keep NAME: what nerdctl itself says of it.
keep()
{
	engine inspect "$1" >"$OUT/inspect.$1"
	engine logs "$1" >"$OUT/logs.$1" 2>&1
}

# told NAME COUNT: whether logtap has told that many of its lines, or more.
told()
{
	[ "$(grep -c "\"name\":\"$1\"" "$OUT/logtap.out")" -ge "$2" ]
}

guest()
{
	export PATH=$NERDCTL/bin:$PATH
	mkdir -p /var/lib/nerdctl
	mount -t tmpfs nerdctl /var/lib/nerdctl
	containerd_start
	ctr images import --snapshotter native "$E2E_CACHE/image.tar" >/dev/null
	logtap_start logtap
	engine run --net none --name web --label tier=front --label 'com.example/a=x y' localhost/busybox:1 sh -c "$SPEAK" \
		>"$OUT/web.out" 2>"$OUT/web.err"
	engine run --net none --name back -d localhost/busybox:1 sh -c "$SPEAK" >/dev/null
	engine run --net none --name short -d localhost/busybox:1 echo "only line" >/dev/null
	# containerd's monitor may start it before nerdctl does, which then says so.
	engine run --net none --name again -d --restart always localhost/busybox:1 sh -c 'echo attempt; exit 1' >/dev/null || true
	engine run --net none --name anew -d localhost/busybox:1 sh -c 'echo attempt; exec sleep 1000' >/dev/null
	wait_for "its line" 60 told anew 1
	engine restart -t 0 anew >/dev/null
	wait_for "its line after a restart" 60 told anew 2
	wait_for "a restart" 120 told again 2
	wait_for "lines of what ran in the background" 60 told back 4
	wait_for "the line of what ended at once" 60 told short 1
	engine stop again >/dev/null
	for name in web back short again anew; do
		keep "$name"
	done
	engine kill anew >/dev/null
	logtap_stop logtap || fail "logtap's exit status is $?"
	containerd_stop
}

check()
{
	judge <<-'END'
		import json
		from records import *

		spoken = {"stdout": ["first", "last"], "stderr": ["first error", "last error"]}
		said = {"web": spoken, "back": spoken, "short": {"stdout": ["only line"]}, "anew": {"stdout": ["attempt"] * 2}}
		records = list(records_of(f"{sys.argv[1]}/logtap.out"))
		# As often as it was started until it was stopped: at least twice.
		attempts = sum(record["container"]["name"] == "again" for record in records)
		said["again"] = {"stdout": ["attempt"] * max(attempts, 2)}
		for name, streams in said.items():
		    about = json.load(open(f"{sys.argv[1]}/inspect.{name}"))[0]
		    labels = {label: value for label, value in about["Config"]["Labels"].items()
		              if not label.startswith(("nerdctl/", "containerd.io/restart."))}
		    if name == "web":
		        expect("labels", (labels["tier"], labels["com.example/a"]), ("front", "x y"))
		    for stream, i, record in lines_of(records, about["Id"], name, streams):
		        container = {"id": about["Id"], "name": name, "image": "localhost/busybox:1", "runtime": "containerd",
		                     "labels": labels}
		        # Those of containerd's monitor change as it works.
		        record["container"]["labels"] = {label: value for label, value in record["container"]["labels"].items()
		                                         if not label.startswith("containerd.io/restart.")}
		        expect(f"{name}/{stream}: container", record["container"], container)
		        expect(f"{name}/{stream}: file", record["file"], about["LogPath"])
		        expect(f"{name}/{stream}: partial", record.get("partial"), None)
		        expect(f"{name}/{stream}: pod", record.get("kubernetes"), None)
		        expect(f"{name}/{stream}: source", record["source_type"], "container")
		    # What nerdctl's logger has of one that was killed, or not, is its own.
		    if name in ("anew", "again"):
		        continue
		    expect(f"{name}: nerdctl logs", sorted(open(f"{sys.argv[1]}/logs.{name}").read().splitlines()),
		           sorted(sum(streams.values(), [])))
		expect("what nerdctl run showed", open(f"{sys.argv[1]}/web.out").read() + open(f"{sys.argv[1]}/web.err").read(),
		       "first\nlast\nfirst error\nlast error\n")
		expect("records", len(records), 4 + 4 + 1 + 2 + attempts)
	END
}
