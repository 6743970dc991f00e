for x do a; done
for x; do b; done
for x in; do c; done
