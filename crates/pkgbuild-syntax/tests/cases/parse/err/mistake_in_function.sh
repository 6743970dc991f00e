build() {
  a | | b
  c
}
package() {
  d )
  e
}
