a < b > c >> d 2> e 2>&1 >| f <> g
