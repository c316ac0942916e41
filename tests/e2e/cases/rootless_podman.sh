# Shows that each line of a container that an ordinary user runs with Podman says whose it is: id, name, image, labels, restarts
# and log, out of the user's own storage, from its first line to its last, also of one that ends at once and one that its
# policy starts again. One that gets no cgroup of its own, as without systemd, is not seen. A user's systemd, podman 4.3 with
# crun and conmon, a user namespace by newuidmap; logtap runs as root on the host.
# needs: logtap rootless
# init: systemd
# timeout: 300
# slow: Podman starts half a dozen times on an emulated processor

USER_ID=4711
USER_RUN=/run/user/$USER_ID
SPEAK='echo first; echo "first error" >&2; sleep 0.5; echo last; echo "last error" >&2'

# As on a machine of many users: 65,536 more numbers for him, by programs that are setuid.
user_prepare()
{
	echo "e2e:x:$USER_ID:$USER_ID::/home/e2e:/bin/bash" >>/etc/passwd
	echo "e2e:x:$USER_ID:" >>/etc/group
	echo e2e:100000:65536 >/etc/subuid
	cp /etc/subuid /etc/subgid
	mkdir -p /home/e2e "$USER_RUN" /run/e2e/podman /run/e2e/bin
	mount -t tmpfs home /home/e2e
	mount --bind "$PODMAN" /run/e2e/podman
	install -m 4755 "$UIDMAP/usr/bin/newuidmap" "$UIDMAP/usr/bin/newgidmap" /run/e2e/bin
	podman_config /home/e2e/.config/containers /run/e2e/podman "$USER_PATH"
	chown -R "$USER_ID:$USER_ID" /home/e2e "$USER_RUN"
	chmod 700 "$USER_RUN"
}

USER_PATH=/run/e2e/bin:/run/e2e/podman/usr/bin:/usr/sbin:/usr/bin:/sbin:/bin
USER_LIBRARIES=/run/e2e/podman/usr/lib/x86_64-linux-gnu
USER_ENVIRONMENT=(HOME=/home/e2e XDG_RUNTIME_DIR="$USER_RUN" DBUS_SESSION_BUS_ADDRESS="unix:path=$USER_RUN/bus"
	PATH="$USER_PATH" LD_LIBRARY_PATH="$USER_LIBRARIES" SYSTEMD_UNIT_PATH=/run/e2e/units)

# The user's systemd with its bus; where logind starts it the names are the same.
user_systemd()
{
	mkdir -p /run/e2e/units
	printf '%s\n' '[Unit]' 'Wants=dbus.socket' 'After=dbus.socket' >/run/e2e/units/basic.target
	printf '%s\n' '[Socket]' "ListenStream=$USER_RUN/bus" >/run/e2e/units/dbus.socket
	printf '%s\n' '[Unit]' 'Requires=dbus.socket' '[Service]' 'Type=notify' \
		'ExecStart=/usr/bin/dbus-daemon --session --address=systemd: --nofork --nopidfile --systemd-activation --syslog-only' \
		>/run/e2e/units/dbus.service
	systemd-run -q --unit "user@$USER_ID.service" --slice "user-$USER_ID.slice" --uid $USER_ID --gid $USER_ID \
		-p Type=notify -p "Delegate=pids memory cpu" "${USER_ENVIRONMENT[@]/#/--setenv=}" \
		/lib/systemd/systemd --user --unit=basic.target
	wait_for "the user's bus" 60 test -S "$USER_RUN/bus"
}

# as_user COMMAND...: as the user has it in a session.
as_user()
{
	setpriv --reuid $USER_ID --regid $USER_ID --clear-groups env -i "${USER_ENVIRONMENT[@]}" \
		systemd-run --user -q --wait --pipe "${USER_ENVIRONMENT[@]/#/--setenv=}" "$@"
}

pod()
{
	as_user /run/e2e/podman/usr/bin/podman --runtime crun --storage-driver vfs "$@"
}

run()
{
	pod run --network none --security-opt seccomp=unconfined --log-driver k8s-file "$@"
}

# told NAME COUNT: whether logtap has told that many of its lines.
told()
{
	[ "$(grep -c "\"name\":\"$1\"" "$OUT/logtap.out")" = "$2" ]
}

guest()
{
	user_prepare
	user_systemd
	pod load -q <"$E2E_CACHE/image.tar" >/dev/null
	logtap_start logtap
	run --name web --label tier=front localhost/busybox:1 sh -c "$SPEAK" >/dev/null
	run --name short localhost/busybox:1 echo "only line" >/dev/null
	run --name again -d --restart on-failure:1 localhost/busybox:1 sh -c 'echo attempt; exit 1' >/dev/null
	wait_for "a restart" 120 told again 2
	pod --cgroup-manager cgroupfs run --network none --security-opt seccomp=unconfined --name bare localhost/busybox:1 \
		echo "of no cgroup" >"$OUT/bare"
	expect "the container without a cgroup" "$(cat "$OUT/bare")" "of no cgroup"
	for name in web short again; do
		pod inspect "$name" >"$OUT/inspect.$name"
	done
	logtap_stop logtap || fail "logtap's exit status is $?"
}

check()
{
	judge <<-'END'
		import json
		from records import *

		said = {"web": {"stdout": ["first", "last"], "stderr": ["first error", "last error"]},
		        "short": {"stdout": ["only line"]}, "again": {"stdout": ["attempt"] * 2}}
		records = list(records_of(f"{sys.argv[1]}/logtap.out"))
		for name, streams in said.items():
		    about = json.load(open(f"{sys.argv[1]}/inspect.{name}"))[0]
		    container = {"id": about["Id"], "name": name, "image": "localhost/busybox:1", "runtime": "podman"}
		    if name == "web":
		        container["labels"] = {"tier": "front"}
		    for stream, i, record in lines_of(records, about["Id"], name, streams):
		        container["restart_count"] = i if name == "again" else 0
		        expect(f"{name}/{stream}: container", record["container"], container)
		        expect(f"{name}/{stream}: file", record["file"],
		               f"/home/e2e/.local/share/containers/storage/vfs-containers/{about['Id']}/userdata/ctr.log")
		        expect(f"{name}/{stream}: partial", record.get("partial"), None)
		        expect(f"{name}/{stream}: the user on the host", record["process"]["uid"], 4711)
		expect("records", len(records), 4 + 1 + 2)
	END
}
