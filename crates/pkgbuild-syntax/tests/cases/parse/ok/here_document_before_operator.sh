cat <<E && b ||
x
E
c
