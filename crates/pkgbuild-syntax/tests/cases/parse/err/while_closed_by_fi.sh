f() {
  while a; do
    b
  fi
}
