diff <(a) <(b | c) > >(d)
x=<(e) f<(g)h
