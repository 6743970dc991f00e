for ; do c; done
d
