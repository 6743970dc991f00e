declare -A map=([a]=b)
local -a list=(x y) name=value plain
export PATH="/opt/bin:$PATH" FLAGS=(-O2)
readonly R=(1)
typeset -i n=1
