echo $x ${x} "$x" "${x}y" $x_y $xy-z
