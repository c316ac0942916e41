# Sourced: fetches Debian packages of a chosen release into a directory, installing nothing.
# The mirror is the one that this machine's own apt sources name, asked at run time.
# Callers set CACHE (a directory for lists).

# Prints the URI of this machine's own Debian archive.
debs_mirror()
{
	local release uri

	command -v apt-get >/dev/null ||
		{ echo "packages of Debian are needed here, and there is no apt-get" >&2; return 1; }
	release=$(. /etc/os-release && echo "${VERSION_CODENAME-}")
	uri=$(apt-get indextargets --format '$(REPO_URI) $(RELEASE) $(COMPONENT)' \
		'Created-By: Packages' |
		awk -v r="$release" '$2 == r && $3 == "main" { print $1; exit }')
	if [ -z "$uri" ] && [ -z "${debs_updated-}" ]; then
		# An image without lists: they are part of what apt knows its archives by.
		apt-get update -q -q >&2
		debs_updated=1 debs_mirror
		return
	fi
	[ -n "$uri" ] || { echo "no Debian archive in this machine's apt sources" >&2; return 1; }
	echo "$uri"
}

# debs_apt SUITE TOOL ARG...: runs an apt tool that sees SUITE alone, by lists of its own.
debs_apt()
{
	local suite=$1 tool=$2 dir=$CACHE/apt/$1
	shift 2

	"$tool" -q -oDir::State::Lists="$dir/lists" -oDir::Cache="$dir" \
		-oDir::Etc::SourceList="$dir/sources" -oDir::Etc::SourceParts=/dev/null \
		-oDir::Etc::Preferences=/dev/null -oDir::Etc::PreferencesParts=/dev/null \
		-oDir::State::status=/dev/null -oAcquire::Languages=none \
		-oAPT::Sandbox::User=root "$@"
}

# Makes the lists of SUITE; says nothing unless it fails.
debs_update()
{
	local suite=$1 dir=$CACHE/apt/$1 log mirror

	mirror=$(debs_mirror)
	mkdir -p "$dir/lists/partial" "$dir/archives/partial"
	echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $mirror $suite main" \
		>"$dir/sources"
	log=$(debs_apt "$suite" apt-get update 2>&1) || { echo "$log" >&2; return 1; }
}

# debs_unpack SUITE DIR PACKAGE...: downloads and unpacks them; DIR appears only when complete.
debs_unpack()
{
	local suite=$1 dir=$2 deb
	shift 2

	rm -rf "$dir.part"
	mkdir -p "$dir.part/debs"
	echo "Fetching $* (Debian $suite)" >&2
	(cd "$dir.part/debs" && debs_apt "$suite" apt-get download "$@") >&2
	for deb in "$dir.part"/debs/*.deb; do
		dpkg-deb -x "$deb" "$dir.part"
	done
	rm -rf "$dir.part/debs" "$dir"
	mv "$dir.part" "$dir"
}
