# Completion of tbt-client for bash.

_tbt_client()
{
	local word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD - 1]}
	local command=${COMP_WORDS[1]} options=

	local transfer='--port --bind --workers --peer --download-limit
		--upload-limit --no-dht --dht-node --no-pex --no-lsd --no-portmap
		--json --quiet --verbose --help'
	case $command in
	leech) options="$transfer --output --order --seed-time --seed-ratio" ;;
	seed) options="$transfer --file --partial" ;;
	create) options='--announce --output --force --piece-length --private
		--comment --web-seed --source --no-date --threads --help' ;;
	show) options='--json --help' ;;
	verify) options='--file --output --json --threads --help' ;;
	esac

	COMPREPLY=()
	if [[ $COMP_CWORD -eq 1 ]]; then
		mapfile -t COMPREPLY < <(compgen -W \
			'leech seed create show verify --help --version' -- "$word")
		return
	fi
	case $before in
	--order)
		mapfile -t COMPREPLY < <(compgen -W 'sequential rarest' -- "$word")
		return
		;;
	--output | -o)
		# A folder; `create` writes a file.
		compopt -o filenames
		local kind=-d
		[[ $command == create ]] && kind=-f
		mapfile -t COMPREPLY < <(compgen $kind -- "$word")
		return
		;;
	--file | -f)
		compopt -o filenames
		mapfile -t COMPREPLY < <(compgen -f -- "$word")
		return
		;;
	esac
	if [[ $word == -* ]]; then
		mapfile -t COMPREPLY < <(compgen -W "$options" -- "$word")
		return
	fi
	compopt -o filenames
	if [[ $command == create ]]; then
		mapfile -t COMPREPLY < <(compgen -f -- "$word")
	else
		mapfile -t COMPREPLY < <(
			compgen -d -- "$word"
			compgen -f -X '!*.torrent' -- "$word"
		)
	fi
}
complete -F _tbt_client tbt-client
