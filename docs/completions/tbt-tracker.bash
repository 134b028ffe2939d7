# Completion of tbt-tracker for bash.

_tbt_tracker()
{
	local word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD - 1]}

	COMPREPLY=()
	if [[ $COMP_CWORD -eq 1 ]]; then
		mapfile -t COMPREPLY < <(compgen -W 'serve --help --version' -- "$word")
		return
	fi
	case $before in
	--torrent | -t)
		compopt -o filenames
		mapfile -t COMPREPLY < <(
			compgen -d -- "$word"
			compgen -f -X '!*.torrent' -- "$word"
		)
		;;
	--allow-dir)
		compopt -o filenames
		mapfile -t COMPREPLY < <(compgen -d -- "$word")
		;;
	--passkeys | --state)
		compopt -o filenames
		mapfile -t COMPREPLY < <(compgen -f -- "$word")
		;;
	*)
		mapfile -t COMPREPLY < <(compgen -W "$(
			"$1" serve --help 2>/dev/null |
				sed -nE 's/^  (-., |    )(--[a-z-]+).*/\2/p'
		)" -- "$word")
		;;
	esac
}
complete -F _tbt_tracker tbt-tracker
