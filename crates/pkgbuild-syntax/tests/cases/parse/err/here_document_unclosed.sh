cat <<EOF
a
 EOF
