[[ $a == b* && c != "d*" || e = f ]]
[[ $a < b && c > d ]]
[[ 1 -eq $x && y -nt z ]]
