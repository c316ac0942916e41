# Shows that log files inside containers are captured by the path that the container sees, on overlayfs as runtimes make it, and
# by the host's path where the host shares a directory with the container (a hostPath volume, a bind mount); and that the
# container that writes is named.
# needs: logtap tools
# timeout: 90

# A container on an overlay, as containerd's overlayfs snapshotter makes one.
make_overlay()
{
	mkdir -p /run/e2e/overlay/{upper,work,merged}
	mount -t overlay overlay /run/e2e/overlay/merged \
		-o "lowerdir=$ROOTFS,upperdir=/run/e2e/overlay/upper,workdir=/run/e2e/overlay/work"
}

guest()
{
	make_overlay
	mkdir -p /srv/app/logs /srv/other
	cat >/run/files.yaml <<-END
		capture:
		  files: [/var/log/inside/*.log, /srv/app/logs/*.log, /data/*.log]
		  exclude_files: [/data/secret*.log]
	END
	# shellcheck disable=SC2016 # expanded in the container
	local app='mkdir -p /var/log/inside
		for i in $(seq 200); do echo "overlay $i" >>/var/log/inside/app.log; done
		(for i in $(seq 200); do echo "kept open $i"; done) >/var/log/inside/open.log
		echo no >/var/log/inside/other.txt; echo no >/var/log/app.log'
	ROOTFS=/run/e2e/overlay/merged bundle overlay sh -c "$app"
	sed -i 's/"readonly": true/"readonly": false/' "$BUNDLES/overlay/config.json"
	bundle -m /srv/app/logs:/mnt hostpath sh -c 'for i in $(seq 200); do echo "host $i"; done >/mnt/web.log; echo no >/mnt/x'
	bundle -m /srv/other:/data volume sh -c 'echo "volume 1" >/data/a.log; echo no >/data/secret.log; echo no >/data/b'

	logtap_start logtap /run/files.yaml
	container_run overlay
	container_run hostpath
	container_run volume
	echo "from the host" >/srv/app/logs/host.log
	# The host's own file of that path, and the container's file by a path of the host that no glob names.
	mkdir -p /var/log/inside
	echo "the host's" >/var/log/inside/app.log
	echo no >/srv/other/direct.log
	logtap_stop logtap
	mkdir "$OUT/truth"
	cp /run/e2e/overlay/merged/var/log/inside/{app,open}.log /srv/app/logs/{web,host}.log /srv/other/a.log "$OUT/truth"
	cp /var/log/inside/app.log "$OUT/truth/of_host.log"
	umount /run/e2e/overlay/merged
}

check()
{
	judge <<'END'
import sys
from records import *

OUT = sys.argv[1]
records = [json.loads(line) for line in open(f"{OUT}/logtap.out")]
found = {}
for record in records:
    found.setdefault((record.get("container", {}).get("id"), record["file"]), []).append(record)
wanted = {
    ("overlay", "/var/log/inside/app.log"): "app",
    ("overlay", "/var/log/inside/open.log"): "open",
    ("hostpath", "/srv/app/logs/web.log"): "web",
    ("volume", "/data/a.log"): "a",
    (None, "/srv/app/logs/host.log"): "host",
    (None, "/var/log/inside/app.log"): "of_host",
}
expect("files", sorted(map(str, found)), sorted(map(str, wanted)))
for log, name in wanted.items():
    truth = open(f"{OUT}/truth/{name}.log", "rb").read()
    expect(f"{name}: lines", truth.count(b"\n"), {"app": 200, "open": 200, "web": 200}.get(name, 1))
    expect_truth(str(log), found[log], truth)
expect("partial", {record.get("partial") for record in records}, {None})
expect_no_loss(f"{OUT}/logtap.err")
END
}
