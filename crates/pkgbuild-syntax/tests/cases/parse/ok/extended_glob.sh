shopt -s extglob
rm -r !(a|b*) @(c)?(d)*(e)+(f "g h"|$i)
