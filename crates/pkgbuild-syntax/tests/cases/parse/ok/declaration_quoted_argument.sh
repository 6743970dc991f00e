declare -a "langs=($list)" 'x=(a)'
