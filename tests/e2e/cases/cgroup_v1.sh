# Shows that containers are told apart where cgroups are version 1, alone and beside version 2 (hybrid): a pod's container and one
# called by a free name, found by their first line and by the census.
# needs: logtap
# timeout: 240
# pods: 4

UID_OF_POD=8a3bf2b1-0c4d-4e5f-9a6b-7c8d9e0f1a2b

# Gives the controllers to version 1.
leave_version_2()
{
	local controller

	for controller in $(cat /sys/fs/cgroup/cgroup.subtree_control); do
		echo "-$controller" >/sys/fs/cgroup/cgroup.subtree_control
	done
	umount /sys/fs/cgroup
	mount -t tmpfs cgroup /sys/fs/cgroup
	for controller in pids memory cpu cpuset devices freezer; do
		mkdir "/sys/fs/cgroup/$controller"
		mount -t cgroup -o "$controller" cgroup "/sys/fs/cgroup/$controller"
	done
}

guest()
{
	local n

	leave_version_2
	for n in alone hybrid; do
		if [ "$n" = hybrid ]; then
			mkdir /sys/fs/cgroup/unified
			mount -t cgroup2 cgroup2 /sys/fs/cgroup/unified
		fi
		"$LOGTAP" doctor >"$OUT/doctor.$n" 2>&1 || true
		mkdir -p "/run/e2e/mnt/$n"
		bundle -p web-0 -n shop -u $UID_OF_POD -c before -m "/run/e2e/mnt/$n:/mnt" "$(printf 'b%063d' ${#n})" sh -c \
			'until [ -e /mnt/go ]; do usleep 50000; done; echo "of before"; echo "error of before" >&2'
		container_start "$(printf 'b%063d' ${#n})"
		logtap_start "$n"
		bundle -p web-0 -n shop -u $UID_OF_POD -c after "$(printf 'a%063d' ${#n})" sh -c \
			'echo "of after"; echo "error of after" >&2'
		container_run "$(printf 'a%063d' ${#n})"
		bundle "free-$n" sh -c 'echo "of free"; echo "error of free" >&2'
		container_run "free-$n"
		touch "/run/e2e/mnt/$n/go"
		container_wait "$(printf 'b%063d' ${#n})"
		container_delete "$(printf 'b%063d' ${#n})"
		logtap_stop "$n" || fail "logtap's exit status is $?"
	done
}

check()
{
	judge <<-'END'
		from records import *

		for n in "alone", "hybrid":
		    records = list(records_of(f"{sys.argv[1]}/{n}.out"))
		    found = sorted((record["container"]["name"], record["container"]["id"], record["stream"], record["message"],
		                    record.get("kubernetes", {}).get("pod_name"), record.get("kubernetes", {}).get("pod_uid"))
		                   for record in records)
		    wanted = []
		    for name, id in ("before", f"b{len(n):063}"), ("after", f"a{len(n):063}"), (f"free-{n}", f"free-{n}"):
		        pod = (None, None) if name.startswith("free") else ("web-0", "8a3bf2b1-0c4d-4e5f-9a6b-7c8d9e0f1a2b")
		        what = name.split("-")[0]
		        wanted += [(name, id, "stdout", f"of {what}", *pod), (name, id, "stderr", f"error of {what}", *pod)]
		    expect(n, found, sorted(wanted))
		    if "cgroups: version 1" not in open(f"{sys.argv[1]}/doctor.{n}").read():
		        fail(f"doctor does not say that cgroups are version 1 ({n})")
	END
}
