f() {
  if a; then
  fi
}
g
