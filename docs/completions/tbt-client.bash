# Completion of tbt-client for bash.

# The long options of a command, as its help says.
_tbt_client_options() # PROGRAM COMMAND
{
	case $2 in
	leech | seed | create | show | verify)
		"$1" "$2" --help 2>/dev/null |
			sed -nE 's/^  (-., |    )(--[a-z-]+).*/\2/p'
		;;
	esac
}

_tbt_client()
{
	local word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD - 1]}
	local command=${COMP_WORDS[1]}

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
		mapfile -t COMPREPLY < <(
			compgen -W "$(_tbt_client_options "$1" "$command")" -- "$word"
		)
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
