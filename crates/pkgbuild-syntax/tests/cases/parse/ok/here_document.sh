cat <<EOF
a $x ${y:-z} $(b "c") `d` $((1)) \$e \\ "f" 'g'
EOF
