build(x) {
  make
}
