__emit() {
	local -n __ref=$1
	local __key
	printf '%s\0%s\0%d\0' "$2" "$1" "${#__ref[@]}" >&3
	for __key in "${!__ref[@]}"; do
		printf '%s\0%s\0' "$__key" "${__ref[$__key]}" >&3
	done
}
printf 'declared\0' >&3
while read -r __name; do
	case $__name in
	__*|_|BASH*|COMP_*|DIRSTACK|EPOCH*|FUNCNAME|GROUPS|LINENO|OPTIND|OPTERR|PIPESTATUS|PPID|RANDOM|SECONDS|SHELLOPTS|SRANDOM) continue ;;
	startdir|srcdir|pkgdir|pkgdirbase|BUILDFILE|BUILDSCRIPT|OLDPWD|PWD) continue ;;
	esac
	[[ $__before == *" $__name "* ]] && continue
	__kind=$(declare -p -- "$__name" 2>/dev/null) || continue
	case $__kind in
	'declare -'*([^ ])A*) __emit "$__name" A ;;
	'declare -'*([^ ])a*) __emit "$__name" a ;;
	*) [[ -v $__name ]] && printf 's\0%s\0%s\0' "$__name" "${!__name}" >&3 ;;
	esac
done <<<"$(compgen -v)"
while read -r __name; do
	[[ -z $__name || $__functions == *" $__name "* ]] || printf 'f\0%s\0' "$__name" >&3
done <<<"$(compgen -A function)"
printf 'end\0' >&3
exit 0
