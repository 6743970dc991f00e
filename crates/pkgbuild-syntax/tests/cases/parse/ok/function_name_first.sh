build() {
  make
}
package () { make install; }
