cat <<
a
