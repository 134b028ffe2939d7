# What must be installed to build, show and test tbt, how to get it, and how to
# build.  Sourced by the other scripts, which set `root` to the folder of the
# sources; POSIX sh.
# shellcheck shell=sh disable=SC2154
#
#	install_packages build       for a build and the demo
#	install_packages test        these, and all that the tests use
#	build_tree FOLDER OPTION...  configure with Meson's options, and build
#
# With everything there this takes a moment and calls no package manager.
# On Debian and its kin what is missing is installed, as root or with sudo;
# elsewhere it is named, and the result is 1.

# One a line: how to see that it is there, and its Debian package.
#	command NAME    a program in PATH
#	library NAME    as pkg-config knows it
#	header FILE     below /usr/include or /usr/local/include
#	python NAME     a module of the system's Python
#	clang_rt NAME   a part of clang's runtime
# A `?` after the package: done without where there is no such package.
packages_for_build='
command cc gcc
header stdio.h libc6-dev
command meson meson
command ninja ninja-build
command pkg-config pkg-config
library libcurl libcurl4-openssl-dev
library libmicrohttpd libmicrohttpd-dev
library libcrypto libssl-dev
library jansson libjansson-dev
library libxxhash libxxhash-dev
library miniupnpc libminiupnpc-dev
header natpmp.h libnatpmp-dev
library hiredis libhiredis-dev
header uthash.h uthash-dev
'
packages_for_tests='
library criterion libcriterion-dev
command clang clang
command scdoc scdoc
command python3 python3
python pytest python3-pytest
python xdist python3-pytest-xdist
python libtorrent python3-libtorrent
python pyflakes python3-pyflakes
command aria2c aria2
command transmission-cli transmission-cli
command rtorrent rtorrent ?
command ctorrent ctorrent ?
command mktorrent mktorrent
command opentracker opentracker
command nginx nginx ?
command systemd-analyze systemd ?
command promtool prometheus ?
command redis-server redis-server
command ip iproute2
command miniupnpd miniupnpd-nftables ?
command nft nftables ?
command strace strace
command openssl openssl
command chromium chromium ?
command clang-format-14 clang-format-14 ?
clang_rt fuzzer libclang-rt-14-dev ?
'

# The distribution's own Python: its modules come by packages.
python=/usr/bin/python3
[ -x "$python" ] || python=python3

have() # KIND NAME
{
	case $1 in
	command) command -v "$2" || [ -x "/usr/sbin/$2" ] ;;
	library) pkg-config --exists "$2" ;;
	header) [ -e "/usr/include/$2" ] || [ -e "/usr/local/include/$2" ] ;;
	python) "$python" -c 'import importlib.util as u, sys
sys.exit(u.find_spec(sys.argv[1]) is None)' "$2" ;;
	clang_rt) ls "$(clang -print-runtime-dir)"/libclang_rt."$2"* ;;
	esac >/dev/null 2>&1
}

# The lines of stdin whose thing is not there.
missing_of()
{
	while read -r kind name package optional; do
		[ -z "$kind" ] || have "$kind" "$name" ||
			echo "$kind $name $package $optional"
	done
}

as_root() # COMMAND...
{
	if [ "$(id -u)" -eq 0 ]; then
		"$@"
	else
		sudo "$@"
	fi </dev/null
}

apt_install() # PACKAGE...
{
	as_root env DEBIAN_FRONTEND=noninteractive apt-get -q install -y \
		--no-install-recommends "$@"
}

# Packages of the optional lines of stdin that this release has.
known_optional()
{
	while read -r kind name package optional; do
		[ -n "$optional" ] && apt-cache show "$package" >/dev/null 2>&1 &&
			echo "$package"
	done
	:
}

install_packages() # build | test
{
	wanted=$packages_for_build
	[ "$1" = build ] || wanted=$wanted$packages_for_tests
	missing=$(echo "$wanted" | missing_of)
	required=$(echo "$missing" | grep -v '?$')
	names=$(echo "$required" | cut -d' ' -f3)

	if ! command -v apt-get >/dev/null; then
		[ -n "$required" ] || return 0
		echo "To go on, please install (by their names in Debian):" >&2
		echo "$required" | while read -r kind name package; do
			echo "  $package, for the $kind $name" >&2
		done
		return 1
	fi

	# What is optional is looked for among the packages known already, lest
	# a release without it asks the network at every start.
	if [ -n "$required" ]; then
		echo "Installing what is missing: $names" | tr '\n' ' '
		echo
		if [ "$(id -u)" -ne 0 ] && ! command -v sudo >/dev/null; then
			echo "This needs root, or sudo." >&2
			return 1
		fi
		as_root apt-get -q update || return 1
	fi
	names="$names $(echo "$missing" | known_optional)"
	case $names in
	*[a-z]*) ;;
	*) return 0 ;;
	esac

	# shellcheck disable=SC2086 # several names
	apt_install $names || return 1
	# These come as services that are running, one on the port that is ours
	# by default; the tests start their own.
	for service in opentracker redis-server prometheus; do
		case $names in
		*$service*)
			! command -v systemctl >/dev/null || as_root \
				systemctl -q disable --now $service || :
			;;
		esac
	done
	required=$(echo "$wanted" | missing_of | grep -v '?$')
	[ -z "$required" ] && return 0
	echo "Still missing after the installation:" >&2
	echo "$required" >&2
	return 1
}

# The first time in a folder takes a while; later only what has changed is
# built.  Prints nothing unless it fails.
build_tree() # FOLDER MESON_OPTION...
{
	folder=$1
	shift
	log=$folder.log
	{
		[ -e "$folder/build.ninja" ] || meson setup "$@" "$folder" "$root"
	} </dev/null >"$log" 2>&1 && ninja -C "$folder" </dev/null >>"$log" 2>&1
	built=$?
	[ $built -eq 0 ] || cat "$log" >&2
	rm -f "$log"
	return $built
}
