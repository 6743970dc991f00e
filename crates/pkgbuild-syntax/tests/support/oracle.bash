# Prints the .SRCINFO of many recipes with makepkg's own code, loading that code once.
#
#   LIST on standard input: recipe directories, one a line
#   $ORACLE_OUT/<n>.out, .err, .status for the n-th directory, counted from 0
#
# The installed makepkg is cut where it starts to look at the recipe: what stands before
# runs once, what stands after runs in a subshell for each recipe.
set +e
oracle_makepkg=$(type -P makepkg) || exit 77
oracle_cut=$(grep -n '^unset pkgname ' "$oracle_makepkg" | cut -d: -f1)
[[ $oracle_cut ]] || exit 78

# `startdir` is read-only in makepkg, and here it changes with each recipe.
head -n $((oracle_cut - 1)) "$oracle_makepkg" | sed 's/^declare -r startdir=/declare startdir=/' > "$ORACLE_OUT/head.bash"
tail -n +$oracle_cut "$oracle_makepkg" > "$ORACLE_OUT/tail.bash"

set -- --printsrcinfo
source "$ORACLE_OUT/head.bash" || exit 79

# makepkg starts a subshell and a grep for each pair of package and field, some hundred
# in all. The original runs whenever a line of the function could match its expression.
eval "original_$(declare -f extract_function_variable)"
declare -A oracle_text
extract_function_variable() {
	if [[ ! -v oracle_text[$1] ]]; then
		oracle_text[$1]=$({ declare -f "$1" || declare -f package; } 2>/dev/null)
	fi
	if [[ ${oracle_text[$1]} == *" $2="* || ${oracle_text[$1]} == *" $2+="* ]]; then
		original_extract_function_variable "$@"
	else
		return 1
	fi
}

mapfile -t oracle_list
trap - 0 ERR
for oracle_n in "${!oracle_list[@]}"; do
	(
		cd "${oracle_list[oracle_n]}" || exit 80
		startdir=$(pwd -P)
		declare -r startdir
		unset OLDPWD oracle_list
		trap 'clean_up' 0
		# makepkg kills itself with USR1, which a shell reports as 128 + 10.
		trap 'error "an unknown error has occurred"; exit 138' ERR
		source "$ORACLE_OUT/tail.bash"
	) > "$ORACLE_OUT/$oracle_n.out" 2> "$ORACLE_OUT/$oracle_n.err" < /dev/null
	echo $? > "$ORACLE_OUT/$oracle_n.status"
done
