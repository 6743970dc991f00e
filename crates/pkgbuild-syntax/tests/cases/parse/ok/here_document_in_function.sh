f() { cat <<E; }
}
E
g() {
  cat <<E | sed s/a/b/
  x
E
  h
}
