# Shows that a line in a file says which of systemd's units, slices and sessions its writer is in, as the journal does: a service,
# an instance of a template, a user's service, a scope, a login, what a service has made in its cgroup, names that the kernel has a
# meaning for; and the machine, its boot and its cloud. journald, to which the same processes print, is asked for each field.
# needs: logtap sshd
# init: systemd
# timeout: 400
# slow: a journal, a login and a user's systemd on an emulated processor

UNITS=$REPO/tests/guest/systemd
LOGS=/srv/logs
USER_ID=4711

# A line into NAME's file, and one to the journal by a process that stays until it is there.
speak_write()
{
	cat >/srv/speak <<-END
		#!/bin/sh
		echo "of \$1" >>$LOGS/\$1.log
		exec systemd-cat -t "\$1" sh -c 'echo "of \$0"; until [ -e /srv/end ]; do sleep 0.2; done' "\$1"
	END
	# shellcheck disable=SC2016 # expanded there
	printf '%s\n' '#!/bin/sh' 'mine=/sys/fs/cgroup$(cut -d: -f3 /proc/self/cgroup)' 'mkdir "$mine/inside" "$mine/inside/_deep"' \
		'echo $$ >"$mine/inside/_deep/cgroup.procs"' 'exec /srv/speak "$@"' >/srv/speak-inside
	chmod 755 /srv/speak /srv/speak-inside
}

# In the guest alone: its root is an overlay in memory.
units_write()
{
	cat >"$UNITS/worker@.service" <<-END
		[Unit]
		DefaultDependencies=no
		[Service]
		ExecStart=/srv/speak worker
		ExecStartPre=/bin/sh -c 'echo "before %i" >>$LOGS/worker.log'
	END
	# A login of root's needs none.
	ln -s /dev/null "$UNITS/user@0.service"
	cat >"$UNITS/user@.service" <<-END
		[Unit]
		DefaultDependencies=no
		[Service]
		Type=notify
		User=%i
		Slice=user-%i.slice
		Delegate=yes
		PassEnvironment=SYSTEMD_UNIT_PATH
		Environment=XDG_RUNTIME_DIR=/run/user/%i
		ExecStartPre=+/bin/install -d -o %i -g %i -m 700 /run/user/%i
		ExecStart=/lib/systemd/systemd --user --unit=basic.target
		StandardOutput=null
		StandardError=null
	END
}

user_run()
{
	setpriv --reuid "$USER_ID" --regid "$USER_ID" --clear-groups env XDG_RUNTIME_DIR=/run/user/$USER_ID \
		systemd-run --user -q --collect "$@"
}

all_have_spoken()
{
	local name

	journalctl -q -o json >"$OUT/journal"
	for name in $NAMES; do
		grep -q "\"MESSAGE\":\"of $name\"" "$OUT/journal" || return 1
		grep -q "\"message\":\"of $name\"" "$OUT/logtap.out" || return 1
	done
}

# Everything that speaks; NAMES are their identifiers.
NAMES="service worker reserved inside custom scope login user sliced"

speak()
{
	ssh_root /srv/speak login &
	SPEAKERS=$!
	systemd-run -q --collect --unit service /srv/speak service
	systemctl start --no-block 'worker@a\x2db-c.service'
	systemd-run -q --collect --unit memory.service /srv/speak reserved
	systemd-run -q --collect --unit delegating -p Delegate=yes /srv/speak-inside inside
	systemd-run -q --collect --unit sorter --slice batch-nightly.slice /srv/speak custom
	systemd-run -q --scope --unit adhoc /srv/speak scope &
	SPEAKERS+=" $!"
	systemctl start user@$USER_ID.service
	user_run --unit web /srv/speak user
	user_run --unit timer --slice batch-nightly.slice /srv/speak sliced
}

guest()
{
	mkdir -p $LOGS
	chmod 1777 $LOGS
	speak_write
	units_write
	echo "logs:x:$USER_ID:$USER_ID::/:/bin/sh" >>/etc/passwd
	systemctl start systemd-journald.socket systemd-journald.service
	sshd_start
	printf '%s\n' "capture: {containers: false, files: [$LOGS/*.log]}" \
		'record: {host: [machine_id, boot_id, cloud]}' >/run/services.yaml
	export CLOUD_INSTANCE_ID=i-0123456789abcdef0 CLOUD_PROVIDER=test
	logtap_start logtap /run/services.yaml
	speak
	wait_for "all lines, here and in the journal" 240 all_have_spoken
	: >/srv/end
	# shellcheck disable=SC2086 # two
	wait $SPEAKERS
	logtap_stop logtap || fail "logtap's exit status is $?"
}

check()
{
	NAMES=$NAMES judge <<-'END'
		import os
		from records import *

		FIELDS = {"unit": "_SYSTEMD_UNIT", "slice": "_SYSTEMD_SLICE", "session": "_SYSTEMD_SESSION",
		          "user_unit": "_SYSTEMD_USER_UNIT"}
		# So that both are not wrong alike.
		UNITS = {"service": "service.service", "worker": r"worker@a\x2db-c.service", "reserved": "memory.service",
		         "inside": "delegating.service", "custom": "sorter.service", "scope": "adhoc.scope",
		         "user": "user@4711.service", "sliced": "user@4711.service"}
		names = os.environ["NAMES"].split()
		logs = load(f"{sys.argv[1]}/logtap.out")
		expect_only(logs, [f"/srv/logs/{name}.log" for name in names])
		entries = {str(entry["MESSAGE"]): entry for entry in map(json.loads, open(f"{sys.argv[1]}/journal")) if "MESSAGE" in entry}
		for name in names:
		    journal = entries[f"of {name}"]
		    wanted = {field: journal[key] for field, key in FIELDS.items() if key in journal}
		    if name != "login":
		        expect(f"{name}: the journal's unit", wanted["unit"], UNITS[name])
		    records = logs[f"/srv/logs/{name}.log"]
		    expect(f"{name}: lines", [record["message"] for record in records],
		           ([r"before a\x2db-c"] if name == "worker" else []) + [f"of {name}"])
		    for record in records:
		        expect(f"{name}: systemd", record.get("systemd"), wanted)
		        expect(f"{name}: source", record["source_type"], "file")
		        expect(f"{name}: container", record.get("container"), None)
		        expect(f"{name}: host", record["host"], journal["_HOSTNAME"])
		        expect(f"{name}: machine", record["host_id"], journal["_MACHINE_ID"])
		        expect(f"{name}: boot", record["boot_id"].replace("-", ""), journal["_BOOT_ID"])
		        expect(f"{name}: cloud", record["cloud"], {"provider": "test", "instance_id": "i-0123456789abcdef0"})
		    if "_SYSTEMD_OWNER_UID" in journal:
		        expect(f"{name}: whose", wanted["slice"], f'user-{journal["_SYSTEMD_OWNER_UID"]}.slice')
		expect("the login", sorted(entries["of login"].keys() & set(FIELDS.values())),
		       ["_SYSTEMD_SESSION", "_SYSTEMD_SLICE", "_SYSTEMD_UNIT"])
		expect_no_loss(f"{sys.argv[1]}/logtap.err")
	END
}
