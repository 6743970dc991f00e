prepare() {
  a

build() {
  b
}
