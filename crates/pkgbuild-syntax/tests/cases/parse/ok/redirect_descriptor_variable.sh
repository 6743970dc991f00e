exec {fd}>out {in}<"$x"
echo {fd} > y a2>z
