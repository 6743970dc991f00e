x=$(uname -m) y="$(a | b)" z=$( c; d )
