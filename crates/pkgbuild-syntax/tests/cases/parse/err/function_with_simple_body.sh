build() make
