build()
make
